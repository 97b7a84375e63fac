// The cases that run in every environment. Values such as bytes and signals are created here, in the realm of the
// environment.
const assert = require("node:assert/strict");
// Fake timers leave this function alone.
const { setImmediate } = require("node:timers");

const text = (bytes) => Buffer.from(bytes).toString();

/** Returns the cases. `connect` returns the options of clients. */
function casesOf({ eas, connect }) {
  const { PredictClient, QueueClient, JsonRequest, TFRequest, isEasError } = eas;
  const predictClient = (options) => new PredictClient({ serviceName: "echo", ...connect(), ...options });
  const queueClient = () => new QueueClient({ queueName: "jobs", ...connect() });
  return {
    async "predict sends text, bytes and typed arrays"() {
      const client = predictClient();
      assert.equal(String(await client.predict("héllo")), "héllo");
      assert.equal(text(await client.predict(new Uint8Array([104, 105]))), "hi");
      const request = new TFRequest("s").addFeed("x", [2], "DT_FLOAT", new Float32Array([1, 2]));
      assert.equal(text(await client.predict(request.toBinary())), text(request.toBinary()));
      await client.close();
    },
    async "fetch sends bytes, a Blob, a form and search parameters"() {
      const client = predictClient({ serviceName: "received" });
      const send = async (body) => JSON.parse(await (await client.fetch("", { method: "POST", body })).text());
      assert.equal((await send(new Uint8Array([104, 105]))).text, "hi");
      assert.deepEqual(await send(new Blob(["blob"], { type: "image/png" })), { type: "image/png", text: "blob" });
      const search = await send(new URLSearchParams({ a: "1 2" }));
      assert.match(search.type, /^application\/x-www-form-urlencoded/);
      assert.equal(search.text, "a=1+2");
      const form = new FormData();
      form.append("name", "value");
      form.append("file", new File(["content"], "a.png", { type: "image/png" }));
      const { type, text } = await send(form);
      assert.match(type, /^multipart\/form-data; ?boundary=/);
      assert.match(text, /name="name"\r\n\r\nvalue\r\n/);
      assert.match(text, /name="file"; filename="a.png"\r\nContent-Type: image\/png\r\n\r\ncontent\r\n/);
      await assert.rejects(async () => await send({ a: 1 }), { code: "ERR_EAS_ARG_REQUEST" });
      await client.close();
    },
    async "a Map is a row"() {
      assert.match(new JsonRequest().addRow(new Map([["age", 42]])).toString(), /"age".*42/);
    },
    async "stream is read in pieces and as text"() {
      const client = predictClient();
      assert.equal(await (await client.stream("one two")).text(), "one two");
      let received = "";
      for await (const piece of await client.stream(new Uint8Array([97, 98, 99]))) received += text(piece);
      assert.equal(received, "abc");
      await client.close();
    },
    async "a signal of the environment aborts a call with its reason"() {
      const client = predictClient({ serviceName: "slow" });
      const controller = new AbortController();
      const reason = new Error("enough");
      const call = client.predict("x", { signal: controller.signal });
      setTimeout(() => controller.abort(reason), 20);
      await assert.rejects(call, (error) => error === reason);
      await client.close();
    },
    async "an error answer is an EasError"() {
      const client = predictClient({ serviceName: "missing", retryCount: 0 });
      await assert.rejects(client.predict("x"), (error) => isEasError(error) && error.status === 404);
      await client.close();
    },
    async "queue: put, get and watch"() {
      const queue = queueClient();
      await queue.put("text");
      await queue.put(new Uint8Array([98]));
      await queue.put(new Uint8Array([99]).buffer);
      await queue.put(new Blob(["blob"]));
      const got = [];
      // The queue hands out a frame once: the watcher gets the other three.
      const [first] = await queue.get();
      assert.equal(first.text(), "text");
      await first.commit();
      const watcher = queue.watch(0, 10);
      for await (const frame of watcher) {
        got.push(frame.text());
        await frame.commit();
        if (got.length === 3) break;
      }
      await watcher.close();
      assert.equal(got.join(), "b,c,blob");
      await queue.close();
    },
  };
}

/** The services and queues that the cases need. */
const EMULATOR = {
  queues: { jobs: {} },
  services: {
    slow: ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    received: ({ headers, body }) => JSON.stringify({ type: headers.get("content-type"), text: text(body) }),
  },
};

/** Returns how clients reach an emulator in memory. */
function inMemory({ createEmulator }) {
  const emulator = createEmulator(EMULATOR);
  const { transport, dialWebSocket, token } = emulator;
  return () => ({ endpoint: "http://emulator", transport, dialWebSocket, token });
}

/** Advances fake timers in small steps, with turns of the event loop between them, until the promise is settled. */
async function advanceUntilSettled(promise, advance) {
  let isSettled = false;
  const settle = () => {
    isSettled = true;
  };
  promise.then(settle, settle);
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  await turn();
  for (let passed = 0; !isSettled && passed < 20_000; passed += 50) {
    await advance(50);
    await turn();
    await turn();
  }
  assert.ok(isSettled, "20 s of fake time have passed and the call has not ended");
  return promise;
}

/** With fake timers, a call without a response times out twice: once per attempt. */
async function timesOut({ eas, advance }) {
  let sent = 0;
  const transport = {
    mayResend: false,
    send: ({ signal }) => {
      sent++;
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
    close: async () => {},
  };
  const options = { endpoint: "http://gateway", serviceName: "s", transport, timeout: 1000, totalTimeout: 60_000 };
  const client = new eas.PredictClient(options);
  const call = advanceUntilSettled(client.predict("x"), advance);
  await assert.rejects(call, (error) => error.code === "ERR_EAS_TIMEOUT" && error.attempts === 2);
  assert.equal(sent, 2);
}

/** With fake timers, a call is retried after its backoff, and a watch of a queue works. */
async function retriesAndWatches({ eas, emulatorModule, advance }) {
  const emulator = emulatorModule.createEmulator(EMULATOR);
  const { transport, dialWebSocket, token } = emulator;
  const options = { endpoint: "http://emulator", transport, dialWebSocket, token };
  emulator.fault({ service: "echo", status: 503 });
  const client = new eas.PredictClient({ ...options, serviceName: "echo" });
  assert.equal(String(await advanceUntilSettled(client.predict("x"), advance)), "x");
  assert.deepEqual(
    emulator.requests.map(({ status }) => status),
    [503, 200],
  );
  const queue = new eas.QueueClient({ ...options, queueName: "jobs" });
  await advanceUntilSettled(queue.put("job"), advance);
  const watched = async () => {
    for await (const frame of queue.watch(0, 1)) return frame.text();
  };
  assert.equal(await advanceUntilSettled(watched(), advance), "job");
  await advanceUntilSettled(Promise.all([queue.close(), client.close()]), advance);
}

module.exports = { casesOf, inMemory, timesOut, retriesAndWatches, EMULATOR };
