import { onTestFinished } from "vitest";
import {
  type EmulatorQueue,
  type EmulatorQueueOptions,
  type RunningEmulator,
  startEmulator,
} from "../../src/emulator/index.js";
import {
  QueueClient,
  type QueueClientOptions,
  type TransportRequest,
  type TransportResponse,
} from "../../src/index.js";
import { RecordingTransport, TOKEN, transportAnswer } from "./calls.js";

/** A client of this test's own for the queue "q", closed when the test ends. */
export function queueClientOf(server: { readonly origin: string }, options: QueueClientOptions = {}): QueueClient {
  const client = new QueueClient({
    endpoint: server.origin,
    queueName: "q",
    token: TOKEN,
    uid: "u",
    logger: null,
    ...options,
  });
  onTestFinished(() => client.close());
  return client;
}

/** Every call that a client makes of a queue by itself, each once. */
export function callsOf(client: QueueClient): readonly (() => Promise<unknown>)[] {
  return [
    () => client.put("x"),
    () => client.get(),
    () => client.attributes(),
    () => client.search(1n),
    () => client.count(),
    () => client.delete(1n),
    () => client.commit(1n),
    () => client.negative(1n),
    () => client.truncate(1n),
    () => client.end(),
  ];
}

/** One request that a queue got, its query as pairs. */
export interface SeenCall {
  readonly method: string;
  readonly pathname: string;
  readonly pairs: [string, string][];
}

export function callOf(method: string, url: string): SeenCall {
  const { pathname, searchParams } = new URL(url, "http://queue");
  return { method, pathname, pairs: [...searchParams] };
}

/** A queue "q" of an emulator behind a real socket, with a client of it. */
export async function openEmulatorQueue(settings: EmulatorQueueOptions = {}, options: QueueClientOptions = {}) {
  const emulator: RunningEmulator = await startEmulator({ token: TOKEN, queues: { q: settings } });
  onTestFinished(() => emulator.close());
  const queue = emulator.queue("q") as EmulatorQueue;
  const clientWith = (more: QueueClientOptions = {}) => queueClientOf({ origin: emulator.endpoint }, more);
  return {
    emulator,
    queue,
    input: queue.input,
    clientWith,
    client: clientWith(options),
    /** What was asked so far, but for the attributes that a put reads by itself. */
    calls: () =>
      emulator.requests.filter(({ url }) => !url.includes("_attrs_")).map(({ method, url }) => callOf(method, url)),
    attributeReads: () => emulator.requests.filter(({ url }) => url.includes("_attrs_")).length,
  };
}

/** Answers as an empty queue without limits does; `respond` stands above it where it gives an answer. */
export function queueTransport(
  respond: (request: TransportRequest) => TransportResponse | Promise<TransportResponse> | undefined = () => undefined,
): RecordingTransport {
  return new RecordingTransport((request) => {
    const answer = respond(request);
    if (answer !== undefined) return answer;
    if (request.path.includes("_attrs_=true")) return transportAnswer(200, {}, "{}");
    if (request.path.includes("_search_=true")) {
      return transportAnswer(200, {}, '{"ConsumerId":"eas.u","IsPending":true,"WaitCount":2}');
    }
    if (request.path.includes("_count_=true")) return transportAnswer(200, {}, "0");
    if (request.method === "POST" && !request.path.includes("_eos_")) {
      return transportAnswer(200, { "X-Eas-Queueservice-Request-Id": "6d1a2b3c-0001" }, "42");
    }
    return request.method === "GET" ? transportAnswer(204) : transportAnswer(200, {}, "OK");
  });
}

/** A client without a network, and what it would have sent. */
export function recordingQueueClient(
  options: QueueClientOptions = {},
  respond?: (request: TransportRequest) => TransportResponse | Promise<TransportResponse> | undefined,
) {
  const transport = queueTransport(respond);
  return { transport, client: queueClientOf({ origin: "http://127.0.0.1:9" }, { transport, ...options }) };
}
