// Helper functions around each public function and method, with types written out, as applications write them.
import { readFileSync } from "node:fs";
import {
  AsyncInferenceClient,
  type AsyncInferenceClientOptions,
  type BatchOptions,
  type BatchProgress,
  type Bytes,
  batch,
  type CallHooks,
  type CallKind,
  type CallOptions,
  type ChatEvent,
  type ChatMessage,
  type ChatStream,
  type ClientFetchOptions,
  type CloseOptions,
  type ConsumeOptions,
  type ContentOf,
  type CountOptions,
  type DataFrame,
  type DataFrameJson,
  type Diagnosis,
  type DType,
  type EndOptions,
  type EndpointType,
  type FrameHandler,
  type FrameIndex,
  type GetOptions,
  type HeadersInput,
  type InferenceJob,
  type InferenceJobJson,
  isEasError,
  type JobStatus,
  type JsonOutput,
  type JsonRequest,
  type JsonValue,
  type LibraryOptions,
  type NegativeOptions,
  type OpenAIOptions,
  PredictClient,
  type PredictClientOptions,
  type PredictInput,
  type PredictOutput,
  type PredictRequest,
  type PredictResult,
  type PredictSocket,
  type PredictStream,
  type Preset,
  type PutOptions,
  type PutResult,
  type PutResultJson,
  type QueueAttributes,
  type QueueCallOptions,
  QueueClient,
  type QueueClientOptions,
  type QueueData,
  type QueueLogger,
  type QueueTags,
  type Readiness,
  type ReadyOptions,
  type ResultOptions,
  type SchemaOutput,
  type SearchResult,
  type ServerSentEvent,
  type SocketClose,
  type SocketOptions,
  type StandardSchema,
  type StatusOptions,
  type StreamOptions,
  type StringRequest,
  type StringResponse,
  type Tensor,
  type TFRequest,
  type TFResponse,
  type Token,
  tensor,
  type ValuesOf,
  type Watcher,
  type WatchOptions,
  type WatchTransport,
} from "eas-prediction";
import { type NodeTransportOptions, nodeTransport, type Pem } from "eas-prediction/node";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Fails to compile if the two types differ. */
function same<A, B>(_yes: Same<A, B>): void {}

// PredictClient

export const makeClient = (options: PredictClientOptions): PredictClient => new PredictClient(options);
export const init = (client: PredictClient): Promise<void> => client.init();
export const predictText = (client: PredictClient, text: string, call?: CallOptions): Promise<StringResponse> =>
  client.predict(text, call);
export const predictEither = (client: PredictClient, input: string | Uint8Array): Promise<StringResponse | Bytes> =>
  client.predict(input);
export const predictAny = <Q extends PredictInput>(client: PredictClient, input: Q): Promise<PredictOutput<Q>> =>
  client.predict(input);
export const predictOwn = <R>(client: PredictClient, request: PredictRequest<R>): Promise<R> => client.predict(request);
export async function unions(
  client: PredictClient,
  request: TFRequest | StringRequest,
  input: PredictInput,
): Promise<void> {
  const answer = await client.predict(request);
  same<typeof answer, TFResponse | StringResponse>(true);
  const detailed = await client.predictDetailed(request);
  same<typeof detailed.response, TFResponse | StringResponse>(true);
  const unknownAnswer = await client.predict(input);
  same<typeof unknownAnswer, unknown>(true);
  const stream = await client.stream(request);
  same<typeof stream, PredictStream>(true);
  // The exact overloads take precedence.
  const text = await client.predict("text");
  same<typeof text, StringResponse>(true);
  const numbers = await client.predict({
    toBinary: () => new Uint8Array(1),
    parseResponse: ({ length }: Bytes) => length,
  });
  same<typeof numbers, number>(true);
}
export const detailed = (
  client: PredictClient,
  input: string | Uint8Array,
): Promise<PredictResult<StringResponse | Bytes>> => client.predictDetailed(input);
export const stream = (
  client: PredictClient,
  input: PredictInput | null,
  call?: StreamOptions,
): Promise<PredictStream> => client.stream(input, call);
export const clientFetch = (
  client: PredictClient,
  path: string,
  init?: RequestInit,
  options?: ClientFetchOptions,
): Promise<Response> => client.fetch(path, init, options);
export const answerOf = <T>(client: PredictClient, input: object | null, call?: CallOptions): Promise<T> =>
  client.json<T>(input, call);
export const checked = <S extends StandardSchema>(client: PredictClient, schema: S): Promise<SchemaOutput<S>> =>
  client.json(null, { schema });
export const openai = (client: PredictClient, options?: LibraryOptions): OpenAIOptions => client.openai(options);
export const anthropic = (client: PredictClient, options?: LibraryOptions): OpenAIOptions => client.anthropic(options);
export const patient = (client: PredictClient, preset: Preset): PredictClient => client.setPreset(preset);
export const service = (client: PredictClient, name: string, token: Token): PredictClient =>
  client.service(name, { token });
export const diagnose = (client: PredictClient): Promise<Diagnosis> => client.diagnose();
export const ready = (client: PredictClient, options: ReadyOptions): Promise<Readiness> => client.ready(options);
export const connect = (client: PredictClient, path: string, options?: SocketOptions): Promise<PredictSocket> =>
  client.connect(path, options);
export const close = (
  client: PredictClient | QueueClient | AsyncInferenceClient,
  options?: CloseOptions,
): Promise<void> => client.close(options);
export const configure = (client: PredictClient, type: EndpointType, headers: HeadersInput): PredictClient =>
  client
    .setEndpoint("h")
    .setServiceName("s")
    .setEndpointType(type)
    .setToken(null)
    .setRetryCount(1)
    .setMaxConnectionCount(1)
    .setTimeout(1)
    .setContentType("text/plain")
    .setRequestPath("/v1")
    .addExtraHeaders(headers)
    .setCompression("gzip")
    .setAnnounceCompression(true)
    .setDecompression("auto");
export const batchOf = <Q extends PredictInput>(
  client: PredictClient,
  inputs: Q[],
  onProgress: (p: BatchProgress) => void,
): Promise<PredictOutput<Q>[]> => batch(client, inputs, { onProgress });
export const batchOptions = (options: BatchOptions): number | "auto" => options.concurrency ?? 8;
export const hooks = (seen: CallKind[]): CallHooks => ({ start: ({ kind }) => void seen.push(kind) });

// Streams and sockets

export const textOf = (stream: PredictStream): Promise<string> => stream.text();
export const bytesOf = (stream: PredictStream): Promise<Bytes> => stream.bytes();
export const linesOf = (stream: PredictStream): AsyncGenerator<string, void, undefined> => stream.lines();
export const eventsOf = (stream: PredictStream): AsyncGenerator<ServerSentEvent, void, undefined> => stream.events();
export const jsonOf = <T>(stream: PredictStream): AsyncGenerator<T, void, undefined> => stream.json<T>();
export const chatOf = (stream: PredictStream): ChatStream => stream.chat();
export const messageOf = (chat: ChatStream): Promise<ChatMessage> => chat.finalMessage();
export async function printed(chat: AsyncIterable<ChatEvent>): Promise<void> {
  for await (const event of chat) if (event.type === "text") console.log(event.text);
}
export const cancel = (stream: PredictStream, reason?: unknown): void => stream.cancel(reason);
export const say = (socket: PredictSocket, data: string | Uint8Array): void => socket.send(data);
export const hangUp = (socket: PredictSocket): Promise<SocketClose> =>
  socket.close(1000, "bye").then(() => socket.closed);

// Tensors

export const floats = (shape: readonly number[], data: Float32Array): Tensor<"DT_FLOAT", Float32Array> =>
  tensor(shape, data);
export const named = <D extends DType>(shape: readonly number[], data: ContentOf<D>, dtype: D): Tensor<D> =>
  tensor<D>(shape, data, dtype);
export const feed = (request: TFRequest, name: string, input: Tensor): TFRequest => request.addFeed(name, input);
export const valuesOf = <D extends DType>(answer: TFResponse, name: string, dtype: D): ValuesOf<D> =>
  answer.getValues(name, dtype);
export const row = (request: JsonRequest, features: Record<string, JsonValue>): JsonRequest => request.addRow(features);
export const labels = (outputs: readonly JsonOutput[]): (string | undefined)[] =>
  outputs.map(({ outputLabel }) => outputLabel);

// Queues

export const makeQueue = (options: QueueClientOptions): QueueClient => new QueueClient(options);
export const identify = (queue: QueueClient, uid: string, gid?: string): Promise<void> => queue.init(uid, gid);
export const put = (queue: QueueClient, data: QueueData, options: PutOptions): Promise<PutResult> =>
  queue.put(data, options);
export const storedAs = (result: PutResult): PutResultJson => result.toJSON();
export const get = (queue: QueueClient, options: GetOptions): Promise<DataFrame[]> => queue.get(options);
export const getOf = (queue: QueueClient, tags: QueueTags): Promise<DataFrame[]> => queue.get({ tags, timeout: "1s" });
export const count = (queue: QueueClient, options: CountOptions): Promise<number> => queue.count(options);
export const attributes = (queue: QueueClient, call?: QueueCallOptions): Promise<QueueAttributes> =>
  queue.attributes(call);
export const search = (queue: QueueClient, index: FrameIndex): Promise<SearchResult | undefined> => queue.search(index);
export const remove = (queue: QueueClient, indexes: Iterable<FrameIndex>): Promise<void> => queue.delete(indexes);
export const commit = (queue: QueueClient, index: FrameIndex): Promise<void> => queue.commit(index);
export const negative = (queue: QueueClient, index: FrameIndex, options: NegativeOptions): Promise<void> =>
  queue.negative(index, options);
export const truncate = (queue: QueueClient, index: FrameIndex): Promise<void> => queue.truncate(index);
export const clear = (queue: QueueClient): Promise<void> => queue.clear();
export const end = (queue: QueueClient, options: EndOptions): Promise<void> => queue.end(options);
export const watch = (queue: QueueClient, index: FrameIndex, options: WatchOptions): Watcher =>
  queue.watch(index, 1, options);
export const transportOf = (watcher: Watcher): WatchTransport => watcher.transport;
export const nextOf = (watcher: Watcher): Promise<IteratorResult<DataFrame, undefined>> => watcher.next();
export const runOf = (watcher: Watcher): AsyncIterable<DataFrame> => watcher.run();
export const work = (queue: QueueClient, handler: FrameHandler, options: ConsumeOptions): Promise<void> =>
  queue.consume(handler, options);
export const configureQueue = (queue: QueueClient, logger: QueueLogger): QueueClient =>
  queue
    .setEndpoint("h")
    .setToken("t")
    .setTimeout(1)
    .setRetryCount(1)
    .setMaxConnectionCount(1)
    .setContentType("text/plain")
    .addExtraHeaders([["a", "b"]])
    .setLogger(logger)
    .setLogger(null);
export const acknowledge = (frame: DataFrame): Promise<void> => frame.commit();
export const refuse = (frame: DataFrame): Promise<void> => frame.negative("Model.Error", "too large");
export const release = (frame: DataFrame): void => frame.release();
export const frameText = (frame: DataFrame): string => frame.text();
export const frameJson = <T>(frame: DataFrame): T => frame.json<T>();
export const stored = (frame: DataFrame): DataFrameJson => frame.toJSON();

// Asynchronous inference

export const makeAsync = (options: AsyncInferenceClientOptions): AsyncInferenceClient =>
  new AsyncInferenceClient(options);
export const submit = (client: AsyncInferenceClient, data: QueueData, options?: PutOptions): Promise<InferenceJob> =>
  client.submit(data, options);
export const resume = (client: AsyncInferenceClient, job: InferenceJobJson): InferenceJob => client.resume(job);
export const resultOf = (job: InferenceJob, options?: ResultOptions): Promise<DataFrame> => job.result(options);
export const positionOf = (job: InferenceJob, signal?: AbortSignal): Promise<SearchResult | undefined> =>
  job.position(signal);
export const statesOf = (job: InferenceJob, options?: StatusOptions): AsyncGenerator<JobStatus, void, undefined> =>
  job.status(options);
export const discard = (job: InferenceJob): Promise<void> => job.discard();

// Node

const pem: Pem = readFileSync("ca.pem");
const pool: NodeTransportOptions = { ca: readFileSync("ca.pem"), cert: [pem, readFileSync("b.pem", "utf8")], key: pem };
export const transport = nodeTransport(pool);

// Errors

export function statusOf(error: unknown): number | undefined {
  if (!isEasError(error)) return undefined;
  switch (error.code) {
    case "ERR_EAS_HTTP":
    case "ERR_EAS_MODEL":
      return error.status;
    case "ERR_EAS_TIMEOUT":
      return error.timeout;
    default:
      return undefined;
  }
}

/** Calls that must not compile. */
export function mistakes(queue: QueueClient, async: AsyncInferenceClient, tags: Record<string, string>): void {
  interface TagsOnly {
    readonly tags: QueueTags;
    readonly priority: number;
  }
  const own: TagsOnly = { tags, priority: 1 };
  void queue.put("x", own);
  void queue.count(own);
  void queue.put("x", { tags });
  void queue.put("x", { onUploadProgress: ({ loaded }) => void loaded });
  // @ts-expect-error tags are an option
  void queue.put("x", tags);
  // @ts-expect-error tags are an option
  void async.submit("x", tags);
  // @ts-expect-error tags are an option
  void queue.get(tags);
  // @ts-expect-error tags are an option
  void queue.count(tags);
  // @ts-expect-error a request id is an option
  void queue.get("id");
  // @ts-expect-error a request id is an option
  void queue.get(["id"]);
  // @ts-expect-error options are an object
  void queue.count("x");
  // @ts-expect-error unknown option
  void queue.get({ auto_delete: false });
  // @ts-expect-error unknown option, next to a known option
  void queue.put("x", { priority: 1, task: "1" });
  // @ts-expect-error undefined would get the head of the queue
  void queue.get({ requestId: undefined });
}
