import { demoClient } from "./clients.js";
import { expect, expectError, rejection } from "./expect.js";
import { test, testAbsence } from "./harness.js";

test("socket", "receives text as text and bytes as bytes", async (test) => {
  const socket = await demoClient(test, "echo").connect("", { protocols: ["v1", "v2"] });
  expect(socket.protocol).to.equal("v1");
  const sent = ["学而时习之🙂", new Uint8Array([0, 1, 255]), "", new Uint8Array(70_000).fill(7)];
  for (const message of sent) socket.send(message);
  const received: (string | Uint8Array)[] = [];
  for await (const message of socket) {
    received.push(message);
    if (received.length === sent.length) break;
  }
  // Compares samples, because `equal` is slow for so many bytes.
  const shown = (message: string | Uint8Array) =>
    typeof message === "string" ? message : [message.length, message.reduce((sum, byte) => sum + byte, 0)];
  expect(received.map(shown)).to.deep.equal(sent.map(shown));
  // The code is 1006 instead of 1000 if the close frame is lost with the connection, as in workerd when the server
  // closes fast.
  expect((await socket.closed).code).to.be.oneOf([1000, 1006]);
});

test("socket", "streams the output of a model", async (test) => {
  const socket = await demoClient(test, "llm").connect("/v1/chat/completions");
  const messages = [{ role: "user", content: "学而时习之，" }];
  socket.send(JSON.stringify({ model: "eas-ngram", messages, temperature: 0, max_tokens: 8, stream: true }));
  let text = "";
  for await (const message of socket) {
    if (message === "[DONE]") break;
    text += JSON.parse(message as string).choices[0].delta.content ?? "";
  }
  expect(text).to.equal("不亦说乎？有朋自");
});

test("socket", "reports the service's close code and reason", async (test) => {
  const socket = await demoClient(test, "llm").connect("/elsewhere");
  const error = await rejection(socket[Symbol.asyncIterator]().next());
  expectError(error, { name: "EasSocketClosedError", closeCode: 1008, reason: "Not Found", retryable: false });
  expect(await socket.closed).to.deep.equal({ code: 1008, reason: "Not Found" });
  expect(() => socket.send("x")).to.throw(/has ended/);
});

test("socket", "closes normally", async (test) => {
  const socket = await demoClient(test, "echo").connect();
  const next = socket[Symbol.asyncIterator]().next();
  await socket.close(4001, "enough");
  expect(await next).to.deep.equal({ done: true, value: undefined });
  expect((await socket.closed).code).to.be.oneOf([4001, 1006]);
});

test("socket", "reports a wrong token as 401 and hides it", async (test) => {
  const token = "wrong-token-7c2f";
  const error = await rejection(demoClient(test, "echo", { token }).connect());
  expectError(error, { name: "EasHttpError", status: 401 });
  expect(`${error} ${JSON.stringify(error)}`).not.to.include(token);
});

test("socket", "rejects with the caller's reason on abort, and frees the connection slot", async (test) => {
  const client = demoClient(test, "echo", { maxConnectionCount: 2 });
  const reason = new Error("enough");
  for (let i = 0; i < 3; i++) {
    const controller = test.signal();
    const socket = await client.connect("", { signal: controller.signal });
    const next = rejection(socket[Symbol.asyncIterator]().next());
    controller.abort(reason);
    expect(await next).to.equal(reason);
    await socket.closed;
  }
});

testAbsence("socket", "it is refused in words before anything is sent", async (test) => {
  const error = await rejection(demoClient(test, "echo").connect());
  expectError(error, { name: "EasUnsupportedError", attempts: 0 });
});
