import { createHash, createHmac } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  createEmulator,
  heldOutDigits,
  type RunningEmulator,
  scorecardSamples,
  startEmulator,
} from "../../../src/emulator/index.js";
import { PredictClient, TFRequest, TorchRequest } from "../../../src/index.js";

let emulator: RunningEmulator;
beforeAll(async () => {
  emulator = await startEmulator({ services: { open: { handle: () => "open", token: "", methods: ["GET", "POST"] } } });
});
afterEach(() => emulator.reset());
afterAll(() => emulator.close());

const DATE = "Mon, 06 Jan 2025 00:00:00 GMT";

function send(path: string, init: RequestInit & { token?: string } = {}) {
  const { token = emulator.token, ...rest } = init;
  const headers = { ...(token === "" ? {} : { authorization: token }), ...(rest.headers as Record<string, string>) };
  return fetch(emulator.endpoint + path, {
    method: "POST",
    body: rest.method === "GET" ? null : "[{}]",
    ...rest,
    headers,
  });
}

function signed(text: { body: string; resource: string; md5?: string; token?: string }): Record<string, string> {
  const md5 = text.md5 ?? createHash("md5").update(text.body).digest("hex");
  const signedText = `POST\n${md5}\napplication/octet-stream\n${DATE}\n${text.resource}`;
  const hmac = createHmac("sha1", text.token ?? emulator.token)
    .update(signedText)
    .digest("base64");
  return { "content-md5": md5, date: DATE, "content-type": "application/octet-stream", authorization: `EAS ${hmac}` };
}

describe("the gateway", () => {
  test.each([
    ["a raw token", () => ({ authorization: emulator.token }), "token", 200],
    ["a bearer token", () => ({ authorization: `Bearer ${emulator.token}` }), "bearer", 200],
    ["a signature", () => signed({ body: "[{}]", resource: "/api/predict/echo" }), "signature", 200],
    [
      "a signature with Java's MD5 without the leading zero",
      () => signed({ body: "", resource: "/api/predict/echo", md5: "2e74f1" }),
      "signature",
      200,
    ],
    [
      "a signature with another token",
      () => signed({ body: "[{}]", resource: "/api/predict/echo", token: "no" }),
      "wrong",
      401,
    ],
    ["a signature over another path", () => signed({ body: "[{}]", resource: "/api/predict/other" }), "wrong", 401],
    ["a wrong token", () => ({ authorization: "no" }), "wrong", 401],
    ["an empty header, as sent by the Python client", () => ({ authorization: "" }), "none", 401],
  ])("checks %s", async (_, headers, form, status) => {
    const response = await send("/api/predict/echo", { token: "", headers: headers() });
    expect(response.status).toBe(status);
    expect(emulator.requests[0]).toMatchObject({ auth: form, status, service: "echo", method: "POST" });
  });

  test("accepts a signature over the path with or without the query, and of a non-ASCII name", async () => {
    emulator.addService("组.模型/v2", () => "here");
    for (const resource of ["/api/predict/echo/x?a=1", "/api/predict/echo/x"]) {
      const response = await send("/api/predict/echo/x?a=1", {
        token: "",
        headers: signed({ body: "[{}]", resource }),
      });
      expect(response.status).toBe(200);
    }
    const path = `/api/predict/${encodeURIComponent("组.模型")}/v2`;
    const headers = signed({ body: "[{}]", resource: "/api/predict/组.模型/v2" });
    expect(await (await send(path, { token: "", headers })).text()).toBe("here");
  });

  test("requires the correct MD5 and a current date with strictSignatures", async () => {
    const strict = createEmulator({ strictSignatures: true, token: emulator.token });
    const post = (headers: Record<string, string>) =>
      strict.fetch(new Request("http://emulator/api/predict/echo", { method: "POST", body: "[{}]", headers }));
    expect((await post(signed({ body: "[{}]", resource: "/api/predict/echo" }))).status).toBe(401);
    const client = new PredictClient({
      endpoint: "http://emulator",
      serviceName: "echo",
      token: emulator.token,
      transport: strict.transport,
    });
    expect(`${await client.predict("[{}]")}`).toBe("[{}]");
    expect(strict.requests.map(({ auth }) => auth)).toEqual(["wrong", "signature"]);
  });

  test("accepts every caller of a service without a token", async () => {
    expect(await (await send("/api/predict/open", { token: "" })).text()).toBe("open");
    expect(await (await send("/api/predict/open", { method: "GET" })).text()).toBe("open");
  });

  test("responds with 404 and 405, and prefers the longest service name", async () => {
    expect((await send("/api/predict/nothing")).status).toBe(404);
    expect((await send("/other")).status).toBe(404);
    const refused = await send("/api/predict/echo", { method: "GET" });
    expect([refused.status, refused.headers.get("allow")]).toEqual([405, "POST"]);
    emulator.addService("group.model", ({ path }) => `group.model ${path}`);
    emulator.addService("group.model/v2", ({ path, query }) => `group.model/v2 ${path} ${query.get("q")}`);
    expect(await (await send("/api/predict/group.model/v1")).text()).toBe("group.model /v1");
    expect(await (await send("//api/predict//group.model/v2/x?q=你")).text()).toBe("group.model/v2 /x 你");
  });

  test("responds with 400 if a handler throws, and sends a Response unchanged", async () => {
    emulator.addService("throws", () => {
      throw new Error("bad input");
    });
    emulator.addService("teapot", () => new Response("short", { status: 418 }));
    const thrown = await send("/api/predict/throws");
    expect([thrown.status, await thrown.text()]).toEqual([400, "bad input"]);
    expect((await send("/api/predict/teapot")).status).toBe(418);
  });

  test("keeps only the latest requests", async () => {
    const small = createEmulator({ logLength: 2, token: "" });
    for (const path of ["a", "b", "c"]) await small.fetch(new Request(`http://e/${path}`));
    expect(small.requests.map(({ url }) => url)).toEqual(["/b", "/c"]);
  });
});

describe("demo services", () => {
  const client = (serviceName: string) =>
    new PredictClient({ endpoint: emulator.endpoint, serviceName, token: emulator.token });

  test("scorecard scores rows", async () => {
    const rows = JSON.stringify(scorecardSamples.map(({ features }) => features));
    const results = (await client("scorecard").predict(rows)).json<{ label: string }[]>();
    expect(results.map(({ label }) => label)).toEqual(scorecardSamples.map(({ expected }) => expected.label));
    await expect(client("scorecard").predict('[{"fea1": 1}]')).rejects.toMatchObject({ status: 400 });
    await expect(client("scorecard").predict("{}")).rejects.toMatchObject({ status: 400 });
  });

  test("digits classifies TF and Torch requests, with and without an output filter", async () => {
    const images = Float32Array.from(heldOutDigits.images.slice(0, 3).flat());
    const digits = client("digits");
    const tf = () => new TFRequest().addFeed("images", [3, 64], "DT_FLOAT", images);
    const torch = () => new TorchRequest().addFeed(0, [3, 64], "DT_FLOAT", images);
    const byTf = await digits.predict(tf());
    const byTorch = await digits.predict(torch());
    expect(byTf.outputNames.sort()).toEqual(["labels", "scores"]);
    expect(byTf.getNumbers("labels")).toEqual(byTorch.getNumbers(1));
    expect(byTf.getValues("scores", "DT_FLOAT")).toEqual(byTorch.getValues(0, "DT_FLOAT"));
    expect((await digits.predict(tf().addFetch("labels"))).outputNames).toEqual(["labels"]);
    expect((await digits.predict(torch().addFetch(1))).getTensorShape(0)).toEqual([3]);
    for (const wrong of [
      tf().addFetch("nothing"),
      torch().addFetch(2),
      tf().setSignatureName("no"),
      torch().addFeed(1, [1], "DT_FLOAT", [1]),
      new TFRequest().addFeed("images", [1, 63], "DT_FLOAT", Array(63).fill(0)),
      new TFRequest().addFeed("images", [1, 64], "DT_DOUBLE", Array(64).fill(0)),
      new TFRequest().addFeed("pictures", [1, 64], "DT_FLOAT", Array(64).fill(0)),
    ]) {
      await expect(digits.predict(wrong as TFRequest)).rejects.toMatchObject({ status: 400, attempts: 1 });
    }
  });
});

describe("faults", () => {
  const overHttp = () =>
    new PredictClient({ endpoint: emulator.endpoint, serviceName: "echo", token: emulator.token, timeout: 300 });
  const inMemory = () => {
    const { transport, token } = emulator;
    return new PredictClient({ endpoint: "http://emulator", serviceName: "echo", token, transport, timeout: 300 });
  };

  describe.each([
    ["over HTTP", overHttp],
    ["in memory", inMemory],
  ])("%s", (_, client) => {
    test.each([
      ["a status", { status: 503 }, 2],
      ["a status for several requests", { status: 450, times: 3, headers: { "retry-after": "0" } }, 4],
      ["a reset before the headers", { reset: "before-headers" }, 2],
      ["a reset in the body", { reset: "in-body" }, 2],
      ["a stall before the headers", { stall: "before-headers" }, 2],
      ["a stall in the body", { stall: "in-body" }, 2],
      ["a delay", { delay: 5 }, 1],
      ["a closed connection", { close: true }, 1],
    ] as const)("the client recovers from %s", async (_, fault, attempts) => {
      emulator.fault(fault);
      const result = await client().predictDetailed("a body that can be cut in two");
      expect(`${result.response}`).toBe("a body that can be cut in two");
      expect(result.attempts).toBe(attempts);
      expect(emulator.requests.length).toBe(attempts);
    });
  });

  test("apply only to the named service", async () => {
    emulator.fault({ service: "scorecard", status: 500 });
    expect((await send("/api/predict/echo")).status).toBe(200);
    expect((await send("/api/predict/scorecard")).status).toBe(500);
    emulator.fault({ status: 500 });
    emulator.reset();
    expect((await send("/api/predict/echo")).status).toBe(200);
  });
});
