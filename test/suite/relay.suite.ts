import { AsyncInferenceClient, PredictClient, QueueClient } from "eas-prediction";
import { createRelay } from "eas-prediction/relay";
import { demoClient, openQueue, openService } from "./clients.js";
import { Counterpart, type RelaySettings } from "./counterpart.js";
import { expect, expectError, rejection } from "./expect.js";
import { type TestContext, test } from "./harness.js";

/** The origin of the page, or an empty list outside of pages. */
function ownOrigins(): readonly string[] {
  const { location } = globalThis as { location?: { origin: string } };
  return location === undefined ? [] : [location.origin];
}

function openRelay(test: TestContext, settings: Omit<RelaySettings, "origins">): Promise<string> {
  return new Counterpart(test).relay({ ...settings, origins: ownOrigins() });
}

test("relay", "adds the token to calls of a service", async (test) => {
  const { service, requests } = await openService(test, "headers");
  const customUrl = await openRelay(test, { only: service, allow: [{ paths: ["/", "/v1/*"] }] });
  const client = test.closing(new PredictClient({ customUrl }));
  const seen = (await client.predict("你好", { headers: { traceparent: "00-1-2-01" } })).json() as {
    headers: Record<string, string>;
  };
  expect(seen.headers.authorization).to.equal(test.token);
  expect(seen.headers.traceparent).to.equal("00-1-2-01");
  await client.predict("x", { path: "/v1/模型", query: { a: "1&2" } });
  const urls = (await requests()).map(({ method, url }) => `${method} ${url}`);
  const path = `/api/predict/${service}`;
  expect(urls).to.deep.equal([`POST ${path}`, `POST ${path}/v1/%E6%A8%A1%E5%9E%8B?a=1%262`]);
});

test("relay", "explains a refusal and sends nothing", async (test) => {
  const { service, requests } = await openService(test, "echo");
  const settings = { services: [service], allow: [{ paths: [`/${service}`] }], maxBytes: 10 };
  const endpoint = await openRelay(test, settings);
  const client = test.closing(new PredictClient({ endpoint, serviceName: service }));
  const refused = async (promise: Promise<unknown>) => {
    const { status, body } = await rejection(promise);
    return [status, new TextDecoder().decode(body as Uint8Array)];
  };
  expect(await refused(client.predict("x", { path: "/admin" }))).to.deep.equal([
    403,
    '{"error":"this relay does not allow POST on this path"}',
  ]);
  expect(await refused(client.predict("more than ten"))).to.deep.equal([
    413,
    '{"error":"the body is larger than 10 bytes"}',
  ]);
  const other = test.closing(new PredictClient({ endpoint, serviceName: "other" }));
  expect((await refused(other.predict("x")))[0]).to.equal(404);
  expect(await requests()).to.have.length(0);
  expect(String(await client.predict("ten or not"))).to.equal("ten or not");
});

test("relay", "forwards a stream chunk by chunk, and ends it when the reader cancels", async (test) => {
  const { service, client: direct } = await openService(test, "stepwise");
  const customUrl = await openRelay(test, { only: service, allow: [{ paths: ["/stream"] }] });
  const client = test.closing(new PredictClient({ customUrl, requestPath: "/stream" }));
  const step = async (text: string) => String(await direct.predict(text, { path: "/step" }));

  const opening = client.stream("go");
  // A browser may wait for the first chunk before it resolves with the head.
  while ((await step("data: 第一\n\n")) === "gone") await new Promise((go) => setTimeout(go, 5));
  const stream = await opening;
  expect(stream.headers.get("content-type")).to.equal("text/event-stream");
  const events = stream.events()[Symbol.asyncIterator]();
  expect((await events.next()).value?.data).to.equal("第一");
  await step("data: second\n\n");
  expect((await events.next()).value?.data).to.equal("second");
  await direct.predict("", { path: "/end" });
  expect((await events.next()).done).to.equal(true);

  const { service: other, client: otherDirect } = await openService(test, "stepwise");
  const otherUrl = await openRelay(test, { only: other, allow: [{ paths: ["/stream"] }] });
  const leaving = test.closing(new PredictClient({ customUrl: otherUrl, requestPath: "/stream" }));
  const counted = test.signal();
  const left = leaving.stream("go", { signal: counted.signal });
  const push = async () => String(await otherDirect.predict("data: x\n\n", { path: "/step" }));
  while ((await push()) === "gone") await new Promise((go) => setTimeout(go, 5));
  await left;
  counted.abort(new Error("enough"));
  // The relay aborts its own call as soon as the caller disconnects.
  while ((await push()) === "there") await new Promise((go) => setTimeout(go, 5));
});

test("relay", "forwards a put, a watch over HTTP and its commits", async (test) => {
  const { name, seen } = await openQueue(test);
  const endpoint = await openRelay(test, {
    services: [name],
    allow: [{ paths: [`/${name}`], operations: ["put", "watch", "commit"], gid: "eas" }],
  });
  const queue = test.closing(new QueueClient({ endpoint, queueName: name, logger: null }));
  const { requestId } = await queue.put("item 0", { tags: { n: "0" } });
  expect(requestId).to.be.a("string");
  for (let i = 1; i < 20; i++) await queue.put(`item ${i}`, { tags: { n: String(i) } });
  const received: string[] = [];
  for await (const frame of queue.watch(0, 3, { transport: "http" })) {
    expect(frame.tags.n).to.equal(String(received.length));
    received.push(frame.text());
    await frame.commit();
    if (received.length === 20) break;
  }
  expect(received).to.deep.equal(Array.from({ length: 20 }, (_, i) => `item ${i}`));
  expect((await seen()).length).to.equal(0);
  // The watch behind the relay has ended as well.
  const counterpart = new Counterpart(test);
  while ((await counterpart.cut(name)) > 0) await new Promise((go) => setTimeout(go, 5));
});

test("relay", "forwards jobs of asynchronous inference and their results", async (test) => {
  const serviceName = await new Counterpart(test).addQueue({}, "upper");
  const endpoint = await openRelay(test, {
    services: [serviceName],
    allow: [
      { paths: [`/${serviceName}`], operations: ["put"] },
      { paths: [`/${serviceName}/sink`], operations: ["result"] },
    ],
  });
  const client = test.closing(new AsyncInferenceClient({ endpoint, serviceName, logger: null }));
  const job = await client.submit("words");
  expect((await job.result({ timeout: 30_000 })).text()).to.equal("WORDS");
});

test("server", "streams in both directions, and aborts the call when the caller disconnects", async (test) => {
  const allow = [{ paths: ["/", "/stream"] }];
  const relay = createRelay({ client: demoClient(test, "echo"), allow });
  const asked = (body: string, path = "/") => new Request(`https://my.site${path}`, { method: "POST", body });
  const answer = await relay(asked("你好"));
  expect([answer.status, await answer.text()]).to.deep.equal([200, "你好"]);
  expect((await relay(asked("x", "/admin"))).status).to.equal(403);

  const { client, service, counterpart } = await openService(test, "stepwise");
  const step = async () => String(await client.predict("x", { path: "/step" }));
  const answering = createRelay({ client, allow })(asked("go", "/stream"));
  await counterpart.arrived(service, 1);
  while ((await step()) === "gone") await new Promise((go) => setTimeout(go, 5));
  const { body } = await answering;
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  expect((await reader.read()).done).to.equal(false);
  await reader.cancel();
  while ((await step()) === "there") await new Promise((go) => setTimeout(go, 5));
});

test("page", "names CORS in the error of a relay that refuses this page, and sends nothing", async (test) => {
  const { service, counterpart, requests } = await openService(test, "echo");
  const allow = [{ paths: ["/"] }];
  const customUrl = await counterpart.relay({ only: service, allow, origins: ["https://other.example"] });
  const error = await rejection(test.closing(new PredictClient({ customUrl })).predict("x"));
  expectError(error, { name: "EasNetworkError", attempts: 1 });
  expect(error.message).to.include("CORS");
  expect(await requests()).to.have.length(0);
});
