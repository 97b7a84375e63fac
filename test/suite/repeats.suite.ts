import { AsyncInferenceClient, PredictClient, QueueClient } from "eas-prediction";
import { openQueue } from "./clients.js";
import { Counterpart, type Death } from "./counterpart.js";
import { expect, expectError, rejection } from "./expect.js";
import { type TestContext, test, testAbsence } from "./harness.js";

// Many runtimes resend a request when a reused connection dies before the response. These tests break the connection
// after the service has processed the request, and count the requests that the service received.

const DEATHS: readonly Death[] = ["fin", "rst"];

/** A queue whose client has a used connection to `dyingEndpoint`. */
async function openDying(test: TestContext, settings: Readonly<Record<string, unknown>> = {}) {
  const queue = await openQueue(test, settings);
  const client = test.closing(
    new QueueClient({ endpoint: test.dyingEndpoint, queueName: queue.name, token: test.token, logger: null }),
  );
  await warm(() => client.attributes());
  const received = (method: string, text = "") =>
    queue.counterpart
      .received(queue.name)
      .then((all) => all.filter((each) => each.method === method && each.target.includes(text)));
  const die = (death: Death, method: string, text?: string) => queue.counterpart.die(queue.name, death, method, text);
  return { ...queue, client, received, die, direct: queue.client };
}

/** Sends a request, so that the runtime's pool contains a connection. */
async function warm(call: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < 3; i++) await call();
}

/** Puts items over connections that do not break. */
async function fill(client: QueueClient, ...texts: string[]): Promise<bigint[]> {
  const indexes: bigint[] = [];
  for (const text of texts) indexes.push((await client.put(text)).index);
  return indexes;
}

for (const death of DEATHS) {
  test("once", `stores a put once and reports maybeAccepted (${death})`, async (test) => {
    const { client, die, received, seen } = await openDying(test);
    await die(death, "POST");
    expectError(await rejection(client.put("x")), { name: "EasNetworkError", maybeAccepted: true, attempts: 1 });
    expect(await received("POST")).to.have.length(1);
    expect((await seen()).items.map(({ text }) => text)).to.deep.equal(["x"]);
    // The next request has a working connection.
    await client.put("y");
    expect((await seen()).length).to.equal(2);
  });

  test("once", `submits a job of asynchronous inference once (${death})`, async (test) => {
    const counterpart = new Counterpart(test);
    const serviceName = await counterpart.addQueue({}, "upper");
    const endpoint = test.dyingEndpoint;
    const client = test.closing(new AsyncInferenceClient({ endpoint, serviceName, token: test.token, logger: null }));
    await warm(() => client.input.attributes());
    await counterpart.die(serviceName, death, "POST");
    expectError(await rejection(client.submit("x")), { maybeAccepted: true, attempts: 1 });
    const job = await client.submit("last");
    expect((await job.result({ timeout: 30_000 })).text()).to.equal("LAST");
    expect((await counterpart.queue(serviceName, "sink")).items.map(({ text }) => text)).to.deep.equal(["X"]);
  });

  test("once", `counts a negative commit once (${death})`, async (test) => {
    const { client, die, received, seen, direct } = await openDying(test);
    const [index] = (await fill(direct, "x")) as [bigint];
    const watcher = test.closing(direct.watch(0, 1));
    await watcher.next();
    await die(death, "PUT", "_negative_");
    expectError(await rejection(client.negative(index)), { maybeTaken: true, attempts: 1 });
    expect(await received("PUT")).to.have.length(1);
    expect((await seen()).negatives).to.have.length(1);
  });

  test("once", `starts a stream once (${death})`, async (test) => {
    const counterpart = new Counterpart(test);
    const serviceName = await counterpart.service("echo");
    const client = test.closing(new PredictClient({ endpoint: test.dyingEndpoint, serviceName, token: test.token }));
    await warm(() => client.predict("warm"));
    await counterpart.die(serviceName, death, "POST", "stream");
    expectError(await rejection(client.stream("x", { query: { stream: "1" } })), { name: "EasNetworkError" });
    const all = await counterpart.received(serviceName);
    expect(all.filter(({ target }) => target.includes("stream"))).to.have.length(1);
  });

  testAbsence("once", `the copies of a put have one request id, and consumers handle one (${death})`, async (test) => {
    const { client, die, received, seen, open } = await openDying(test);
    await die(death, "POST");
    const put = await client.put("x").catch((error) => error as Error & Record<string, unknown>);
    if (put instanceof Error) expectError(put, { maybeAccepted: true, attempts: 1 });
    const targets = (await received("POST")).map(({ target }) => target);
    expect(targets[0]).to.match(/[?&]requestId=[0-9a-f-]{36}(&|$)/);
    expect(new Set(targets).size).to.equal(1);
    const { items } = await seen();
    expect(items).to.have.length(targets.length);
    expect(new Set(items.map(({ tags }) => tags.requestId)).size).to.equal(1);
    await client.put("end");
    const counted = test.signal();
    const handled: string[] = [];
    await open().consume(
      (frame) => {
        handled.push(frame.text());
        if (frame.text() === "end") counted.abort();
      },
      { skipRepeated: true, signal: counted.signal },
    );
    expect(handled).to.deep.equal(["x", "end"]);
    expect((await seen()).length).to.equal(0);
  });

  testAbsence("once", `the copies of a submitted request have one request id (${death})`, async (test) => {
    const counterpart = new Counterpart(test);
    const serviceName = await counterpart.addQueue();
    const endpoint = test.dyingEndpoint;
    const client = test.closing(new AsyncInferenceClient({ endpoint, serviceName, token: test.token, logger: null }));
    await warm(() => client.input.attributes());
    await counterpart.die(serviceName, death, "POST");
    await client.submit("x").catch((error) => expectError(error, { maybeAccepted: true, attempts: 1 }));
    const { items } = await counterpart.queue(serviceName);
    expect(items.length).to.be.within(1, 2);
    expect(new Set(items.map(({ tags }) => `${tags.requestId} ${tags.easJob}`)).size).to.equal(1);
  });

  testAbsence("once", `a negative counts twice at most (${death})`, async (test) => {
    const { client, die, received, direct } = await openDying(test);
    const [index] = (await fill(direct, "x")) as [bigint];
    await die(death, "PUT", "_negative_");
    await client.negative(index).catch((error) => expectError(error, { maybeTaken: true, attempts: 1 }));
    expect((await received("PUT")).length).to.be.within(1, 2);
  });

  test("kept", `reports maybeTaken if a deleting get may have lost items (${death})`, async (test) => {
    const { client, die, received, seen, direct } = await openDying(test);
    await fill(direct, "first", "second");
    await die(death, "GET", "_auto_delete_");
    const got = await client.get().catch((error) => error as Error & Record<string, unknown>);
    const left = (await seen()).items.map(({ text }) => text);
    if (got instanceof Error) {
      expectError(got, { name: "EasNetworkError", maybeTaken: true, attempts: 1 });
      expect(left).to.deep.equal(["second"]);
    } else {
      expect(got.map((frame) => frame.text())).to.deep.equal(["first"]);
      expect(left).to.deep.equal(["second"]);
    }
    expect((await received("GET", "_auto_delete_=true")).length).to.be.at.most(1);
    expect((await client.get()).map((frame) => frame.text())).to.deep.equal(["second"]);
    expect((await seen()).length).to.equal(0);
  });

  test("kept", `repeats the deletion after a get, and loses no polled item (${death})`, async (test) => {
    const { client, die, seen, direct } = await openDying(test);
    await fill(direct, "first", "second", "third");
    await die(death, "DELETE");
    const [frame] = await client.get({ autoDelete: false });
    expect(frame?.text()).to.equal("first");
    await client.delete((frame as NonNullable<typeof frame>).index);
    expect((await seen()).items.map(({ text }) => text)).to.deep.equal(["second", "third"]);
    const watcher = test.closing(client.watch(0, 5, { transport: "poll" }));
    await die(death, "GET", "_auto_delete_");
    const polled: string[] = [];
    for await (const one of watcher) {
      polled.push(one.text());
      await one.commit();
      if (polled.length === 2) break;
    }
    expect(polled).to.deep.equal(["second", "third"]);
    expect((await seen()).length).to.equal(0);
  });

  test("kept", `retries a commit on another connection (${death})`, async (test) => {
    const { client, die, received, seen, direct } = await openDying(test);
    const [first] = (await fill(direct, "first", "second")) as [bigint];
    const watcher = test.closing(direct.watch(0, 2));
    await watcher.next();
    await die(death, "PUT");
    await client.commit(first);
    expect((await received("PUT")).map(({ died }) => died)).to.deep.equal([true, false]);
    // Checks that the runtime reuses connections, without which these tests would prove nothing.
    expect((await received("GET", "_attrs_")).some(({ reused }) => reused)).to.equal(true);
    expect((await seen()).items.map(({ text }) => text)).to.deep.equal(["second"]);
  });

  test("kept", `retries a prediction on another connection (${death})`, async (test) => {
    const counterpart = new Counterpart(test);
    const serviceName = await counterpart.service("echo");
    const client = test.closing(new PredictClient({ endpoint: test.dyingEndpoint, serviceName, token: test.token }));
    await warm(() => client.predict("warm"));
    await counterpart.die(serviceName, death, "POST");
    expect(String(await client.predict("x"))).to.equal("x");
    expect((await counterpart.received(serviceName)).slice(-2).map(({ died }) => died)).to.deep.equal([true, false]);
  });
}
