import { EasError, EasHttpError, isEasError, PredictClient } from "eas-prediction";
import { openService } from "./clients.js";
import { expect, expectError, rejection } from "./expect.js";
import { test } from "./harness.js";

test("failures", "retries after 503, 429 and 450", async (test) => {
  const { client, service, counterpart, requests } = await openService(test, "echo");
  for (const status of [503, 429, 450]) await counterpart.fault({ service, status });
  const { response, attempts } = await client.predictDetailed("x");
  expect([String(response), attempts]).to.deep.equal(["x", 4]);
  expect((await requests()).map(({ status }) => status)).to.deep.equal([503, 429, 450, 200]);
});

test("failures", "does not retry after 400 or a redirect", async (test) => {
  const { client, service, counterpart, requests } = await openService(test, "echo");
  await counterpart.fault({ service, status: 400, body: "bad 输入" });
  const error = await rejection(client.predict("x"));
  expectError(error, { status: 400, attempts: 1, retryable: false });
  expect(error.message).to.include("bad 输入");
  expect(error).to.be.instanceOf(EasHttpError).and.instanceOf(EasError);
  expect(isEasError(error)).to.equal(true);
  await counterpart.fault({ service, status: 302, headers: { location: `${test.control}/stolen` } });
  const redirected = await rejection(client.predict("x"));
  expectError(redirected, { name: "EasHttpError", status: 302, attempts: 1 });
  expect(await requests()).to.have.length(2);
});

test("failures", "reports the number of attempts in a lasting failure", async (test) => {
  const { client, service, counterpart, requests } = await openService(test, "echo", { retryCount: 2 });
  await counterpart.fault({ service, status: 503, times: 5, body: "no healthy upstream" });
  expectError(await rejection(client.predict("x")), { status: 503, attempts: 3, retryable: true });
  expect(await requests()).to.have.length(3);
});

test("failures", "retries after a connection breaks before or during the response", async (test) => {
  const { client, service, counterpart, requests } = await openService(test, "echo");
  // Begins with a success: otherwise a browser could report the failure as CORS.
  await client.predict("x");
  for (const reset of ["before-headers", "in-body"] as const) await counterpart.fault({ service, reset });
  const body = "0123456789".repeat(1000);
  expect(String(await client.predict(body))).to.equal(body);
  expect(await requests()).to.have.length.of.at.least(4);
});

test("failures", "reports an unreachable server as a network error", async (test) => {
  const { origin } = new URL(test.endpoint);
  const client = test.closing(
    new PredictClient({ endpoint: origin.replace(/\d+$/, "9"), serviceName: "s", token: test.token, retryCount: 1 }),
  );
  expectError(await rejection(client.predict("x")), { name: "EasNetworkError", code: "ERR_EAS_NETWORK" });
});

for (const stall of ["before-headers", "in-body"] as const) {
  test("failures", `times out and retries a response that stalls ${stall}`, async (test) => {
    const { client, service, counterpart, requests } = await openService(test, "echo", { timeout: 300 });
    await counterpart.fault({ service, stall, times: 2 });
    const error = await rejection(client.predict("some text"));
    expectError(error, { name: "EasTimeoutError", timeout: 300, attempts: 2 });
    expect(await requests()).to.have.length(2);
    expect(String(await client.predict("again"))).to.equal("again");
  });
}

test("failures", "applies totalTimeout to the whole call, including delays", async (test) => {
  const { client, service, counterpart } = await openService(test, "echo", { timeout: 400, totalTimeout: 500 });
  await counterpart.fault({ service, stall: "before-headers", times: 9 });
  expectError(await rejection(client.predict("x")), { name: "EasTimeoutError" });
});

test("failures", "rejects with the caller's reason after an abort in flight", async (test) => {
  const { client, service, counterpart } = await openService(test, "echo");
  await counterpart.fault({ service, stall: "before-headers" });
  const { signal, abort } = signalOf(test);
  const reason = new Error("changed my mind");
  const call = client.predict("x", { signal });
  await counterpart.arrived(service, 1);
  abort(reason);
  expect(await rejection(call)).to.equal(reason);
});

test("failures", "rejects with the caller's reason after an abort during the response body", async (test) => {
  const { client, service, counterpart } = await openService(test, "echo");
  await counterpart.fault({ service, stall: "in-body" });
  const { signal, abort } = signalOf(test);
  const call = client.predict("0".repeat(100_000), { signal });
  await counterpart.arrived(service, 1);
  abort("reason");
  expect(await rejection(call)).to.equal("reason");
});

test("failures", "ends the delay before a retry on abort", async (test) => {
  const { client, service, counterpart, requests } = await openService(test, "echo");
  await counterpart.fault({ service, status: 503, headers: { "retry-after": "30" } });
  const { signal, abort } = signalOf(test);
  const call = client.predict("x", { signal, retryOn: () => queueMicrotaskAbort(abort) });
  expect(await rejection(call)).to.equal("stop");
  expect(await requests()).to.have.length(1);
});

test(
  "failures",
  "sends nothing with an aborted signal, and leaves no listener on a signal that never fires",
  async (test) => {
    const { client, requests } = await openService(test, "echo");
    const aborted = new AbortController();
    aborted.abort("before");
    expect(await rejection(client.predict("x", { signal: aborted.signal }))).to.equal("before");
    expect(await requests()).to.have.length(0);
    const { signal } = test.signal();
    await Promise.all(Array.from({ length: 20 }, (_, i) => client.predict(`call ${i}`, { signal })));
    expect(await requests()).to.have.length(20);
  },
);

function signalOf(test: { signal(): { signal: AbortSignal; abort(reason?: unknown): void } }) {
  const counted = test.signal();
  return { signal: counted.signal, abort: (reason: unknown) => counted.abort(reason) };
}

/** Aborts in the turn after the decision to retry, when the delay has begun. */
function queueMicrotaskAbort(abort: (reason: unknown) => void): true {
  setTimeout(() => abort("stop"));
  return true;
}

test(
  "failures",
  'with preset: "long-running" a timeout is not repeated, and a cold start is waited for',
  async (test) => {
    const warnings: string[] = [];
    const logger = { debug: () => {}, warn: (message: string) => void warnings.push(message), error: () => {} };
    const options = { preset: "long-running", logger } as const;
    const { client, service, counterpart, requests } = await openService(test, "echo", options);
    await counterpart.fault({ service, stall: "before-headers" });
    expectError(await rejection(client.predict("x", { timeout: 300 })), { name: "EasTimeoutError", attempts: 1 });
    expect(await requests()).to.have.length(1);
    await counterpart.fault({ service, status: 404, body: "no backend endpoint found" });
    expect(String(await client.predict("x"))).to.equal("x");
    expect((await requests()).map(({ method, status }) => `${method} ${status}`).slice(1)).to.deep.equal([
      "POST 404",
      "GET 405",
      "POST 200",
    ]);
    expect(warnings.filter((message) => message.includes("so the call waits up to"))).to.have.length(1);
  },
);
