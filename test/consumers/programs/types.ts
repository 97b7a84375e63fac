// The types of every public entry, as consumers use them. Compiled as ESM and as CommonJS, with and without the types
// of the DOM and of Node, by each compiler.
import { create } from "@bufbuild/protobuf";
import {
  type AnyEasError,
  AsyncInferenceClient,
  BladeRequest,
  BladeTFRequest,
  type Bytes,
  batch,
  CaffeRequest,
  type Compression,
  DataFrame,
  EasHttpError,
  EasyRecRequest,
  fetchTransport,
  type InferenceJob,
  isEasError,
  JsonRequest,
  OnnxRequest,
  PredictClient,
  type PredictClientOptions,
  type PredictRequest,
  type PredictResult,
  QueueClient,
  StringRequest,
  type StringResponse,
  TFRequest,
  type TFResponse,
  TorchRecRequest,
  TorchRequest,
  type Transport,
  tensor,
  type Watcher,
} from "eas-prediction";
import { lz4, lz4Frame } from "eas-prediction/compression/lz4";
import { snappy } from "eas-prediction/compression/snappy";
import { zstd } from "eas-prediction/compression/zstd";
import "eas-prediction/dispose";
import { type RunningEmulator, startEmulator } from "eas-prediction/emulator";
import { createEmulator, type Emulator, heldOutDigits } from "eas-prediction/emulator/memory";
import { pixelsToTensor } from "eas-prediction/image";
import { type NodeTransportOptions, nodeListener, nodeTransport } from "eas-prediction/node";
import { ProtoRequest } from "eas-prediction/proto";
import { RequestSchema } from "eas-prediction/proto/blade";
import { PredictResponseSchema as CaffeResponseSchema } from "eas-prediction/proto/caffe";
import { PBRequestSchema } from "eas-prediction/proto/easyrec";
import { type DataProto, DataProtoSchema } from "eas-prediction/proto/onnx";
import { DataFrameProtoSchema } from "eas-prediction/proto/queue";
import { ArrayDataType, PredictRequestSchema, PredictResponseSchema } from "eas-prediction/proto/tf";
import { PredictRequestSchema as TorchRequestSchema } from "eas-prediction/proto/torch";
import { PBRequestSchema as TorchRecRequestSchema } from "eas-prediction/proto/torchrec";
import { createRelay, type RelayOptions } from "eas-prediction/relay";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Fails to compile where the two types differ. */
function same<A, B>(_yes: Same<A, B>): void {}

const options: PredictClientOptions = { endpoint: "http://127.0.0.1:1", serviceName: "digits", token: () => "token" };
export const client: PredictClient = new PredictClient(options).setToken("token").setTimeout(1000).setRetryCount(1);

export async function calls(): Promise<void> {
  const text = await client.predict("text");
  same<typeof text, StringResponse>(true);
  const bytes = await client.predict(new Uint8Array(1));
  same<typeof bytes, Bytes>(true);
  same<Bytes, ReturnType<Uint8Array["slice"]>>(true);
  const detailed = await client.predictDetailed(new StringRequest("text"), { path: "/v1", timeout: 10 });
  same<typeof detailed, PredictResult<StringResponse>>(true);
  const contentType: string | null = detailed.headers.get("content-type");
  // The platform's own fetch accepts the returned bytes as a body.
  const response: Promise<Response> = fetch("http://127.0.0.1:1", { method: "POST", body: bytes });
  const stop = new AbortController();
  await client.predict("text", { signal: stop.signal, headers: { "x-trace": contentType ?? "" } });
  await client.predict("text", { headers: detailed.headers });
  await response;
  const own: Transport = fetchTransport({ fetch });
  await own.close();
}

const relayOptions: RelayOptions = {
  client,
  allow: [{ methods: ["GET"], paths: ["/v1/*"] }],
  origins: ["https://a.example"],
};
export const relay: (request: Request) => Promise<Response> = createRelay(relayOptions);
export const listener: ReturnType<typeof nodeListener> = nodeListener(relay);

export async function tensors(): Promise<void> {
  const image = new Float32Array(64);
  const tf = new TFRequest("predict_images")
    .addFeed("images", [1, 64], TFRequest.DT_FLOAT, image)
    .addFeed("ids", [1], "DT_INT64", [1n])
    .addFeed("more", tensor([1, 64], image))
    .addFetch("scores");
  const answer = await client.predict(tf);
  same<typeof answer, TFResponse>(true);
  same<ReturnType<typeof answer.getNumbers>, number[]>(true);
  const scores = answer.getValues("scores", "DT_FLOAT");
  same<typeof scores, ReturnType<Float32Array["slice"]>>(true);
  const labels = answer.getValues("labels", TFRequest.DT_INT64);
  same<typeof labels, ReturnType<BigInt64Array["slice"]>>(true);
  const names = answer.getValues("names", TFRequest.DT_STRING);
  same<typeof names, Bytes[]>(true);
  const flags = answer.getValues("flags", TFRequest.TF_BOOL);
  same<typeof flags, boolean[]>(true);
  // @ts-expect-error no such dtype
  tf.addFeed("x", [1], "float", [1]);
  // @ts-expect-error text is no content of a float tensor
  tf.addFeed("x", [1], "DT_FLOAT", ["1"]);

  const torch = await client.predict(new TorchRequest().addFeed(0, tensor([1, 64], image)).addFetch(0));
  same<ReturnType<typeof torch.getTensorShape>, number[]>(true);
  // @ts-expect-error Torch has no field for BOOL
  new TorchRequest().addFeed(0, [1], "DT_BOOL", [true]);
  const blade = new BladeRequest().addFeed("images", 1, [1, 64], BladeRequest.DT_FLOAT, image).addFetch("labels");
  const batchSize: number | undefined = (await client.predict(blade)).getBatchSize("labels");
  const bladeTf = new BladeTFRequest().addFeed("images", [1, 64], BladeTFRequest.DT_FLOAT, image).addFetch("labels");
  const caffe = new CaffeRequest().addFeed("images", [1, 64], image).addFetch("labels");
  const onnx = new OnnxRequest().addTensor("images", [1, 64], OnnxRequest.DT_FLOAT, image);
  const first: string = (await client.predict(onnx)).getName(batchSize ?? 0);
  const easyRec = new EasyRecRequest().addUserFeature("age", 3, "INT").addUserFeature("name", first).addItemId("1");
  const results: ReadonlyMap<string, ArrayLike<number>> = (await client.predict(easyRec)).results;
  const torchRec = new TorchRecRequest().addUserFeature("pixels", [1, 2], "LIST<FLOAT>").addItemId("1");
  const json = new JsonRequest().addRow({ a: 1, b: { dataType: "DOUBLE", dataValue: 1 } });
  const label: string | undefined = (await client.predict(json)).outputs[0]?.outputLabel;
  await client.predict(bladeTf, { query: { size: String(results.size), label: label ?? "" } });
  await client.predict(caffe);
  await client.predict(torchRec);
}

/** A request class of the consumer. */
export const count: PredictRequest<number> = {
  toBinary: () => new Uint8Array(1),
  parseResponse: ({ length }) => length,
};

export async function messages(): Promise<void> {
  const message = create(PredictRequestSchema, {
    inputs: { images: { dtype: ArrayDataType.DT_FLOAT, arrayShape: { dim: [1n, 2n] }, floatVal: [1, 2] } },
  });
  const { outputs } = await client.predict(new ProtoRequest(PredictRequestSchema, message, PredictResponseSchema));
  same<typeof outputs, (typeof outputs)[string] extends { floatVal: number[] } ? typeof outputs : never>(true);
  const onnx: DataProto = await client.predict(
    new ProtoRequest(DataProtoSchema, create(DataProtoSchema), DataProtoSchema),
  );
  const names: string[] = [
    onnx,
    create(RequestSchema),
    create(CaffeResponseSchema),
    create(PBRequestSchema),
    create(DataFrameProtoSchema),
    create(TorchRequestSchema),
    create(TorchRecRequestSchema),
  ].map((each) => each.$typeName);
  // @ts-expect-error the message of another schema
  new ProtoRequest(PredictRequestSchema, create(PBRequestSchema), PredictResponseSchema);
  names.push(typeof (await client.predict(count)));
}

export const compressions: Compression[] = ["gzip", "zlib", lz4, lz4Frame, snappy, zstd];

export async function queues(): Promise<void> {
  const queue = new QueueClient({ endpoint: "http://127.0.0.1:1", queueName: "jobs", token: "token" }).setLogger(null);
  const { index, requestId } = await queue.put("text", { tags: { a: "1" }, priority: 1 });
  same<typeof index, bigint>(true);
  const frames: DataFrame[] = await queue.get({ requestId, timeout: "5s" });
  await queue.commit(frames.map((frame) => frame.index));
  const waitCount: number | undefined = (await queue.search(index))?.waitCount;
  const watcher: Watcher = queue.watch(0n, 5, { autoCommit: true, transport: "http" });
  for await (const frame of watcher.run()) {
    const json = frame.json<{ n: number }>();
    same<typeof json, { n: number }>(true);
    if (frame instanceof DataFrame && json.n === waitCount) await frame.commit();
  }
  await queue.consume(async (frame) => void frame.text(), { concurrency: 2, onError: () => "release" });
  await using disposed = new AsyncInferenceClient({ endpoint: "http://127.0.0.1:1", serviceName: "a" });
  const job: InferenceJob = await disposed.submit("text");
  await disposed.resume(job.toJSON()).result({ timeout: 10 });
  const disposable: AsyncDisposable[] = [queue, client, disposed];
  await Promise.all(disposable.map((each) => each[Symbol.asyncDispose]()));
}

export function describeError(error: unknown): string {
  if (error instanceof EasHttpError) {
    same<typeof error.code, "ERR_EAS_HTTP">(true);
    return `${error.status} ${error.headers.get("retry-after")} ${error.body.length}`;
  }
  if (isEasError(error)) {
    same<typeof error, AnyEasError>(true);
    if (error.code === "ERR_EAS_TIMEOUT") return `${error.phase} ${error.timeout}`;
    return `${error.code} ${error.cause}`;
  }
  return String(error);
}

export async function emulators(): Promise<void> {
  const running: RunningEmulator = await startEmulator({ queues: { jobs: {} }, cors: true });
  running.addService("double", ({ body }) => String(body.length * 2));
  const memory: Emulator = createEmulator({ services: { echo: { handle: ({ body }) => body } } });
  memory.fault({ status: 503, body: "no healthy upstream", times: 2 });
  const answer: Response = await memory.fetch(new Request(running.endpoint));
  const pixels: number = heldOutDigits.images[0]?.length ?? answer.status;
  const pool: NodeTransportOptions = { connections: pixels, proxy: "http://127.0.0.1:1" };
  await new PredictClient({ ...options, transport: nodeTransport(pool) }).close();
  await new PredictClient({ ...options, transport: memory.transport }).close();
  await running.close();
}

export async function late(): Promise<void> {
  const stream = await client.stream("x", { idleTimeout: 1000, waitForReady: { timeout: 1000 } });
  for await (const { data } of stream.events()) same<typeof data, string>(true);
  const values = (await client.stream(null, { path: "/v1" })).json<{ a: number }>();
  for await (const { a } of values) same<typeof a, number>(true);
  const socket = await client.connect("/ws", { protocols: ["v1"] });
  for await (const message of socket) same<typeof message, string | Bytes>(true);
  const { attempts } = await client.ready({ onWait: (elapsed, reason) => `${elapsed} ${reason}` });
  same<typeof attempts, number>(true);
  const answers = await batch(client, ["a", "b"], { concurrency: 2 });
  same<typeof answers, StringResponse[]>(true);
  new TFRequest().addFeed("x", pixelsToTensor({ data: new Uint8Array(12), width: 2, height: 2 }, { layout: "NCHW" }));
}
