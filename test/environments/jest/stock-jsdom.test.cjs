// The unchanged jest-environment-jsdom: without fetch, Response, TextEncoder, TextDecoder and ReadableStream, and with
// the export condition "browser".
const eas = require("eas-prediction");
const { nodeTransport } = require("eas-prediction/node");

const options = { endpoint: "http://127.0.0.1:9", serviceName: "s", token: "t", retryCount: 0 };

test("runs without the globals under test", () => {
  const names = ["fetch", "Response", "TextEncoder", "TextDecoder", "ReadableStream"];
  expect(names.filter((name) => name in globalThis)).toEqual([]);
});

test.each(["image", "node", "opentelemetry", "relay", "compression/snappy", "compression/lz4", "compression/zstd"])(
  "imports eas-prediction/%s",
  (entry) => {
    expect(Object.keys(require(`eas-prediction/${entry}`))).not.toEqual([]);
  },
);

test("predicts bytes over a custom transport", async () => {
  const sent = [];
  const transport = {
    mayResend: false,
    async send({ method, path, body }) {
      sent.push(`${method} ${path} ${body}`);
      return { status: 200, headers: new Headers(), contentEncoding: undefined, body: Uint8Array.of(4, 5) };
    },
    close: async () => {},
  };
  const client = new eas.PredictClient({ ...options, transport });
  expect([...(await client.predict(Uint8Array.of(1, 2, 3)))]).toEqual([4, 5]);
  expect(sent).toEqual(["POST /api/predict/s 1,2,3"]);
  await client.close();
});

test("reports that fetch is missing", async () => {
  const client = new eas.PredictClient(options);
  const failure = { code: "ERR_EAS_UNSUPPORTED", message: expect.stringMatching(/no fetch.*transport/) };
  await expect(client.predict(Uint8Array.of(1))).rejects.toMatchObject(failure);
  await expect(client.stream(Uint8Array.of(1))).rejects.toMatchObject(failure);
  await client.close();
});

test("reports that TextEncoder is missing", async () => {
  const client = new eas.PredictClient(options);
  await expect(client.predict("text")).rejects.toThrow(/TextEncoder/);
  expect(() => require("eas-prediction/emulator/memory")).toThrow(/TextEncoder/);
  await client.close();
});

test("reports in nodeTransport that TextDecoder is missing", async () => {
  const client = new eas.PredictClient({ ...options, transport: nodeTransport() });
  await expect(client.predict(Uint8Array.of(1))).rejects.toThrow(
    /undici could not be loaded: TextDecoder is not defined/,
  );
  await client.close();
});
