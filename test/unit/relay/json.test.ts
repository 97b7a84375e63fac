import { expect, test } from "vitest";
import { createEmulator } from "../../../src/emulator/index.js";
import { PredictClient } from "../../../src/index.js";
import { createRelay } from "../../../src/relay/index.js";
import { clientOf, TOKEN } from "../../support/calls.js";

test("forwards JSON, forms, methods and compressed bodies", async () => {
  const emulator = createEmulator({
    token: TOKEN,
    services: {
      svc: {
        handle: ({ method, headers, body }) =>
          JSON.stringify({
            method,
            type: headers.get("content-type"),
            accept: headers.get("accept"),
            size: body.length,
          }),
        methods: ["GET", "POST", "DELETE"],
      },
    },
  });
  const client = clientOf({ origin: "http://h" }, { transport: emulator.transport });
  const relay = createRelay({ client, allow: [{ methods: ["GET", "POST", "DELETE"], paths: ["/*"] }] });
  const page = new PredictClient({
    customUrl: "https://my.site",
    fetch: (url, init) => relay(new Request(url, { ...init, ...(init?.body && { duplex: "half" }) } as RequestInit)),
  });
  const json = { method: "POST", type: "application/json", accept: "application/json", size: 7 };
  expect(await page.json({ a: 1 }, { path: "/v1/x" })).toEqual(json);
  page.setCompression("gzip").setAnnounceCompression(true);
  expect(await page.json({ a: 1 }, { path: "/v1/x" })).toEqual(json);
  page.setCompression(null);
  expect(await page.json(null, { path: "/v1/x" })).toMatchObject({ method: "GET", type: null, size: 0 });
  expect(await page.json([], { path: "/v1/x", method: "DELETE" })).toMatchObject({ method: "DELETE", size: 2 });
  const form = new FormData();
  form.append("file", new Blob(["x"], { type: "image/png" }), "a.png");
  expect(await page.json(form, { path: "/v1/x" })).toMatchObject({
    type: expect.stringMatching(/^multipart\/form-data; boundary=/),
  });
});
