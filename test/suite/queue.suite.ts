import { QueueClient } from "eas-prediction";
import { openQueue } from "./clients.js";
import { expect, expectError, rejection } from "./expect.js";
import { test } from "./harness.js";

test("queue", "gets an item with its tags and data unchanged, and deletes it", async (test) => {
  const { client } = await openQueue(test);
  const { index, requestId } = await client.put("你好 🌏", { tags: { 任务: "一&二=三" }, priority: 1 });
  expect(index > 2n ** 53n).to.equal(true);
  expect(requestId).to.be.a("string");
  const [frame] = await client.get({ requestId: requestId as string });
  expect(frame?.index).to.equal(index);
  expect(frame?.text()).to.equal("你好 🌏");
  expect(frame?.tags.任务).to.equal("一&二=三");
  expect(await client.get({ timeout: 0 })).to.deep.equal([]);
});

test("queue", "stores bytes and keeps the order of many items", async (test) => {
  const { client } = await openQueue(test);
  const sent = Array.from({ length: 20 }, (_, i) => Uint8Array.of(i, 0, 255));
  for (const data of sent) await client.put(data);
  const frames = await client.get({ length: 20, autoDelete: false });
  expect(frames.map(({ data }) => data.slice())).to.deep.equal(sent);
  expect(await client.count()).to.equal(20);
});

test("queue", "supports search, count, attributes, commit, delete, truncate and clear", async (test) => {
  const { client } = await openQueue(test);
  const indexes: bigint[] = [];
  for (let i = 0; i < 6; i++)
    indexes.push((await client.put(`item ${i}`, { tags: { even: String(i % 2 === 0) } })).index);
  const [first, second, third, , , last] = indexes as [bigint, bigint, bigint, bigint, bigint, bigint];
  expect((await client.attributes())["stream.length"]).to.equal("6");
  expect(await client.count({ tags: { even: "true" } })).to.equal(3);
  expect((await client.search(third))?.waitCount).to.equal(2);
  await client.commit(first);
  await client.delete([String(second)]);
  expect(await client.search(second)).to.equal(undefined);
  await client.truncate(last);
  expect((await client.get({ timeout: 0, autoDelete: false, length: 1 })).map(({ index }) => index)).to.deep.equal([
    last,
  ]);
  await client.clear();
  expect(await client.count()).to.equal(0);
});

test("queue", "waits in get for a later item", async (test) => {
  const { client, name, counterpart } = await openQueue(test);
  const waiting = client.get({ timeout: "20s" });
  await counterpart.arrived(name, 1);
  await client.put("late");
  expect((await waiting).map((frame) => frame.text())).to.deep.equal(["late"]);
});

test("queue", "takes no item in an aborted get", async (test) => {
  const { client, name, counterpart } = await openQueue(test);
  const counted = test.signal();
  const waiting = client.get({ timeout: "20s", signal: counted.signal });
  await counterpart.arrived(name, 1);
  counted.abort("enough");
  expect(await rejection(waiting)).to.equal("enough");
  await client.put("stays");
  expect(await client.count()).to.equal(1);
});

test("queue", "supports negative and the end of a queue", async (test) => {
  const { client, seen } = await openQueue(test);
  const { index } = await client.put("x");
  const watcher = client.watch(0, 1);
  const { value: frame } = await watcher.next();
  await frame?.negative("Model.Busy", "忙");
  await watcher.close();
  expect((await seen()).negatives).to.deep.equal([{ index: String(index), code: "Model.Busy", reason: "忙" }]);
  await client.end({ force: true });
  expect((await seen()).isEnded).to.equal(true);
});

test("queue", "does not retry a put whose response is lost, and reports maybeAccepted", async (test) => {
  const { client, name, counterpart, seen } = await openQueue(test);
  await client.put("before");
  await counterpart.fault({ service: name, status: 502 });
  expectError(await rejection(client.put("once")), {
    name: "EasHttpError",
    status: 502,
    maybeAccepted: true,
    attempts: 1,
  });
  expect((await seen()).length).to.equal(1);
});

test("queue", "sends nothing for invalid input, and reports a closed client", async (test) => {
  const { client, name, counterpart } = await openQueue(test);
  const before = (await counterpart.requests(name)).length;
  expectError(await rejection(client.put({} as never)), { code: "ERR_EAS_ARG_REQUEST" });
  expectError(await rejection(client.get({ timeout: "5 parsecs" })), { code: "ERR_EAS_ARG_TIMEOUT" });
  expectError(await rejection(client.search(-5)), { code: "ERR_EAS_ARG_INDEX" });
  await client.close();
  expectError(await rejection(client.put("x")), { code: "ERR_EAS_CLOSED" });
  expect((await counterpart.requests(name)).length).to.equal(before);
});

test("queue", "reports a wrong token as 401 and hides it", async (test) => {
  const { name } = await openQueue(test);
  const token = "wrong-token-4711";
  const client = test.closing(new QueueClient({ endpoint: test.endpoint, queueName: name, token, logger: null }));
  const error = await rejection(client.attributes());
  expectError(error, { name: "EasHttpError", status: 401 });
  expect(error.message + error.stack).not.to.include(token);
});
