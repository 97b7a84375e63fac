import { PredictClient, type UploadProgress } from "eas-prediction";
import { openService } from "./clients.js";
import { expect, expectError, rejection } from "./expect.js";
import { test, testAbsence } from "./harness.js";

const MIB = 1024 * 1024;

/** Collects progress events. */
function listener() {
  const seen: UploadProgress[] = [];
  return {
    seen,
    loaded: () => seen.map(({ loaded }) => loaded),
    onUploadProgress: (it: UploadProgress) => void seen.push(it),
  };
}

/** Call options with a progress handler that ignores the events. */
const listening = () => ({ onUploadProgress: listener().onUploadProgress });

test("upload", "reports the progress of 4 MiB, which arrive unchanged", async (test) => {
  const { client, requests } = await openService(test, "echo", { timeout: 60_000 });
  const body = Uint8Array.from({ length: 4 * MIB }, (_, i) => (i * 2654435761) >>> 24);
  const { seen, loaded, onUploadProgress } = listener();
  const { response, status, headers } = await client.predictDetailed(body, { onUploadProgress });
  expect(status).to.equal(200);
  expect(headers.get("content-length")).to.equal(`${body.length}`);
  expect(response.findIndex((value, i) => value !== body[i])).to.equal(-1);
  expect(new Set(seen.map(({ total }) => total))).to.deep.equal(new Set([body.length]));
  expect(loaded()[0]).to.equal(0);
  expect(loaded().at(-1)).to.equal(body.length);
  expect(loaded()).to.deep.equal([...new Set(loaded())].sort((a, b) => a - b));
  const [request] = await requests();
  expect(request?.auth).to.equal("token");
  expect(request?.headers["content-type"]).to.equal("application/octet-stream");
});

test("upload", "stops immediately on abort", async (test) => {
  const { client } = await openService(test, "echo", { timeout: 60_000 });
  const caller = test.signal();
  const reason = new Error("enough");
  const { seen, onUploadProgress } = listener();
  const sent = client.predict(new Uint8Array(32 * MIB), {
    signal: caller.signal,
    onUploadProgress(progress) {
      onUploadProgress(progress);
      if (progress.loaded > 0) caller.abort(reason);
    },
  });
  expect(await rejection(sent)).to.equal(reason);
  const count = seen.length;
  expect(String(await client.predict("next", listening()))).to.equal("next");
  expect(seen).to.have.length(count);
});

test("upload", "restarts at 0 for each attempt", async (test) => {
  const { client, service, counterpart } = await openService(test, "echo");
  await counterpart.fault({ service, status: 503, body: "busy" });
  const { loaded, onUploadProgress } = listener();
  const { attempts } = await client.predictDetailed(new Uint8Array(1000), { onUploadProgress });
  expect(attempts).to.equal(2);
  expect(loaded()).to.deep.equal([0, 1000, 0, 1000]);
});

test("upload", "throws the same errors as without progress, with limited bodies", async (test) => {
  const { client, service, counterpart } = await openService(test, "echo", { retryCount: 0 });
  await counterpart.fault({ service, status: 400, body: "数据 is wrong", headers: { "x-request-id": "r-1" } });
  const error = await rejection(client.predict("x", listening()));
  expectError(error, { name: "EasHttpError", status: 400, attempts: 1 });
  expect(error.message).to.include("数据 is wrong");
  await counterpart.fault({ service, status: 400, body: `é${"0".repeat(4 * MIB)}` });
  const { status, body } = (await rejection(client.predict("x", listening()))) as unknown as {
    status: number;
    body: Uint8Array;
  };
  expect([status, body.length, body[0], body[1]]).to.deep.equal([400, 65_536, 0xc3, 0xa9]);
  const stranger = test.closing(new PredictClient({ endpoint: test.endpoint, serviceName: service, token: "wrong" }));
  expectError(await rejection(stranger.predict("x", listening())), { name: "EasHttpError", status: 401 });
});

test("upload", "decompresses responses and limits their size", async (test) => {
  const zipped = await openService(test, "answers-gzip");
  expect(String(await zipped.client.predict("text ".repeat(1000), listening()))).to.equal("text ".repeat(1000));
  const bomb = await openService(test, "bomb", { maxResponseBytes: 100_000 });
  expectError(await rejection(bomb.client.predict("x", listening())), { name: "EasDecodeError" });
  const { client } = await openService(test, "echo", { maxResponseBytes: 1000 });
  expectError(await rejection(client.predict("0".repeat(100_000), listening())), { name: "EasDecodeError" });
  expect(String(await client.predict("small", listening()))).to.equal("small");
});

test("upload", "reports a redirect as an error", async (test) => {
  const { client, service, counterpart, requests } = await openService(test, "echo");
  await counterpart.fault({
    service,
    status: 307,
    headers: { location: `${test.endpoint}/api/predict/${service}?again` },
  });
  const error = await rejection(client.predict("x", listening()));
  expectError(error, { name: "EasNetworkError", attempts: 1 });
  expect(error.message).to.include("redirect");
  expect((await requests()).length).to.be.lessThanOrEqual(4);
});

test("upload", "retries after a broken connection, and names CORS", async (test) => {
  const { client, service, counterpart } = await openService(test, "echo");
  await client.predict("known");
  await counterpart.fault({ service, reset: "in-body" });
  expect(String(await client.predict("x", listening()))).to.equal("x");
  const closed = test.closing(
    new PredictClient({ endpoint: test.closedEndpoint, serviceName: service, token: test.token }),
  );
  const error = await rejection(closed.predict("x", listening()));
  expectError(error, { name: "EasNetworkError", attempts: 1 });
  expect(error.message).to.include("CORS");
});

test("upload", "ignores exceptions of onUploadProgress", async (test) => {
  const { client } = await openService(test, "echo");
  // The exception is reported like that of any event handler.
  const heard: unknown[] = [];
  const onError = (event: ErrorEvent) => {
    heard.push(event.error);
    event.preventDefault();
  };
  const before = globalThis.onerror;
  globalThis.onerror = null;
  globalThis.addEventListener("error", onError);
  const thrown = new Error("the bar broke");
  const onUploadProgress = () => {
    throw thrown;
  };
  expect(String(await client.predict("x", { onUploadProgress }))).to.equal("x");
  globalThis.removeEventListener("error", onError);
  globalThis.onerror = before;
  expect(new Set(heard)).to.deep.equal(new Set([thrown]));
});

testAbsence("upload", "is refused in words, and nothing is sent", async (test) => {
  const { client, requests } = await openService(test, "echo");
  const error = await rejection(client.predict("x", listening()));
  expectError(error, { name: "EasUnsupportedError", code: "ERR_EAS_UNSUPPORTED", attempts: 0 });
  expect(error.message).to.include("web pages and workers");
  expect(await requests()).to.have.length(0);
});
