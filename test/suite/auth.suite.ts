import { PredictClient } from "eas-prediction";
import { openService } from "./clients.js";
import { expect, expectError, rejection, thrown } from "./expect.js";
import { test, testAbsence } from "./harness.js";

for (const auth of ["token", "bearer"] as const) {
  test("token", `sends auth "${auth}"`, async (test) => {
    const { client, requests } = await openService(test, "echo", { auth });
    await client.predict("x");
    expect((await requests()).map(({ auth, status }) => [auth, status])).to.deep.equal([[auth, 200]]);
  });
}

test("token", "calls a token function before each attempt", async (test) => {
  let asked = 0;
  const token = async () => (++asked === 1 ? "stale" : test.token);
  const { client, requests } = await openService(test, "echo", {
    token,
    auth: "token",
    retryOn: ({ attempts }) => attempts === 1,
  });
  expect(String(await client.predict("x"))).to.equal("x");
  expect((await requests()).map(({ status }) => status)).to.deep.equal([401, 200]);
});

test("token", "reports a wrong token as 401, names the other form, and hides the token", async (test) => {
  const token = "wrong-token-4711";
  const { client, requests } = await openService(test, "echo", { token, auth: "bearer" });
  const error = await rejection(client.predict("x"));
  expectError(error, { name: "EasHttpError", code: "ERR_EAS_HTTP", status: 401, attempts: 1 });
  expect(error.message).to.include('auth: "token"');
  for (const text of [error.message, error.stack, JSON.stringify(error), String(error.cause)]) {
    expect(text).not.to.include(token);
  }
  expect(await requests()).to.have.length(1);
});

test(
  "signature",
  "is what a plain http call is sent with by itself, and EAS's own arithmetic takes it",
  async (test) => {
    const { client, requests } = await openService(test, "echo");
    expect(String(await client.predict("你好"))).to.equal("你好");
    const [request] = await requests();
    expect(request?.auth).to.equal("signature");
    expect(request?.headers).to.include.keys("date", "content-md5");
  },
);

test("signature", "is refused by a service with another token", async (test) => {
  const { client } = await openService(test, "echo", { token: "another", auth: "signature" });
  expectError(await rejection(client.predict("x")), { status: 401 });
});

testAbsence("signature", "is refused before anything is sent, with the reason", async (test) => {
  const { client, requests } = await openService(test, "echo", { auth: "signature" });
  const error = await rejection(client.predict("x"));
  expectError(error, { name: "EasUnsupportedError", code: "ERR_EAS_UNSUPPORTED", attempts: 0 });
  expect(error.message).to.include("Date");
  expect(await requests()).to.have.length(0);
});

testAbsence("signature", '"auto" sends the token', async (test) => {
  const { client, requests } = await openService(test, "echo");
  await client.predict("x");
  expect((await requests()).map(({ auth }) => auth)).to.deep.equal(["token"]);
});

test("token", "sends only the intended headers, and none that the runtime forbids", async (test) => {
  const { client } = await openService(test, "headers", { auth: "token" });
  const { headers } = (await client.predict("x", { headers: { "X-Trace": "7" } })).json<{
    headers: Record<string, string>;
  }>();
  expect(headers["x-trace"]).to.equal("7");
  expect(headers["content-length"]).to.equal("1");
  expect(headers.authorization).to.equal(test.token);
  // The client does not set headers that browsers would silently drop.
  if (test.isAbsent("signature")) expect(headers).not.to.include.keys("date", "content-md5");
});

test("failures", "throws for invalid arguments before anything is sent", async (test) => {
  const { client, requests } = await openService(test, "echo");
  expectError(
    thrown(() => new PredictClient({ endpoint: "ftp://x" })),
    { code: "ERR_EAS_ARG_ENDPOINT" },
  );
  expectError(
    thrown(() => client.setTimeout(-1)),
    { code: "ERR_EAS_ARG_TIMEOUT" },
  );
  expectError(await rejection(client.predict("x", { headers: { a: "b\r\nc: d" } })), { code: "ERR_EAS_ARG_HEADER" });
  expectError(await rejection(client.predict("x", { path: "/../other" })), { code: "ERR_EAS_ARG_PATH" });
  expectError(await rejection(client.predict(42 as never)), { code: "ERR_EAS_ARG_REQUEST" });
  expect(await requests()).to.have.length(0);
});

test("failures", "reports that the client is closed", async (test) => {
  const { client, requests } = await openService(test, "echo");
  await client.close();
  const error = await rejection(client.predict("x"));
  expectError(error, { code: "ERR_EAS_CLOSED" });
  expect(error.message).to.include("closed");
  expect(await requests()).to.have.length(0);
});
