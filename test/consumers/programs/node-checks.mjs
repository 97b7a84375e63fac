// Checks of one module format of the package, independent of how its entries were loaded.
import assert from "node:assert/strict";

/** `entries` are modules by name; "." is the main entry. `create` comes from the consumer's own @bufbuild/protobuf. */
export async function checkEntries(entries, create) {
  const main = entries["."];
  const { startEmulator, createEmulator, heldOutDigits } = entries["./emulator"];
  assert.equal(createEmulator, entries["./emulator/memory"].createEmulator);
  for (const [name, value] of Object.entries(main)) if (typeof value === "function") assert.equal(value.name, name);
  // Node applies source maps to stack traces if enabled. The files for require() have none.
  assert.throws(
    () => new main.TFRequest().addFeed("images", [1], "float", [1]),
    ({ stack }) =>
      stack.includes("TFRequest.addFeed") &&
      /eas-prediction.(src.formats.tf.request\.ts|dist.[\w-]+\.cjs):\d/.test(stack),
  );

  const emulator = await startEmulator({ queues: { jobs: {} } });
  const transport = entries["./node"].nodeTransport();
  try {
    const options = { endpoint: emulator.endpoint, serviceName: "digits", token: emulator.token };
    const image = heldOutDigits.images[0];

    // Sends a prediction over the client's own connections.
    const client = new main.PredictClient(options);
    const request = new main.TFRequest("predict_images");
    request.addFeed("images", [1, 64], main.TFRequest.DT_FLOAT, image).addFetch("scores");
    const scores = (await client.predict(request)).getValues("scores", "DT_FLOAT");
    assert.equal(scores.indexOf(Math.max(...scores)), heldOutDigits.labels[0]);

    // Creates a message with the schemas of another entry.
    const { ProtoRequest } = entries["./proto"];
    const { ArrayDataType, PredictRequestSchema, PredictResponseSchema } = entries["./proto/tf"];
    const images = { dtype: ArrayDataType.DT_FLOAT, arrayShape: { dim: [1n, 64n] }, floatVal: [...image] };
    const message = create(PredictRequestSchema, { inputs: { images } });
    const { outputs } = await client.predict(new ProtoRequest(PredictRequestSchema, message, PredictResponseSchema));
    assert.equal(Number(outputs.labels.int64Val[0]), heldOutDigits.labels[0]);

    // Loads the entry of each compression.
    const codecs = [entries["./compression/snappy"].snappy, entries["./compression/lz4"].lz4Frame];
    for (const codec of [...codecs, entries["./compression/zstd"].zstd]) {
      const bytes = new TextEncoder().encode("text ".repeat(100));
      const decompressed = await codec.decompress(await codec.compress(bytes), {
        maxBytes: 1000,
        headers: new Headers(),
      });
      assert.deepEqual(new Uint8Array(decompressed), bytes, codec.name);
    }

    // Watches a queue over WebSocket, for which Node needs a package.
    const queue = new main.QueueClient({ endpoint: options.endpoint, token: options.token, queueName: "jobs" });
    await queue.put("job");
    for await (const frame of queue.watch(0, 1, { autoCommit: true, transport: "websocket" })) {
      assert.ok(frame instanceof main.DataFrame);
      assert.equal(frame.text(), "job");
      break;
    }

    // An error thrown by another entry has the main entry's class.
    const { signal } = new AbortController();
    const send = { method: "GET", url: "http://127.0.0.1:1/", headers: [], body: null, signal, onDispatch() {} };
    emulator.fault({ reset: "before-headers" });
    for (const each of [transport, emulator.transport]) {
      const failure = await each.send(send).catch((error) => error);
      assert.equal(failure.constructor, main.TransportError, failure.stack);
    }
    const missing = await client
      .service("missing")
      .predict("x")
      .catch((error) => error);
    assert.equal(missing.constructor, main.EasHttpError);
    await Promise.all([client.close(), queue.close()]);
  } finally {
    await Promise.all([transport.close(), emulator.close()]);
  }
}
