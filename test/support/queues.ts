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

/** Creates a client for the queue "q" that is closed when the test ends. */
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

/** Returns every single call that a queue client can make. */
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

/** A request that a queue received, with its query as pairs. */
export interface SeenCall {
  readonly method: string;
  readonly pathname: string;
  readonly pairs: [string, string][];
}

export function callOf(method: string, url: string): SeenCall {
  const { pathname, searchParams } = new URL(url, "http://queue");
  return { method, pathname, pairs: [...searchParams] };
}

/** Opens the emulator queue "q" on a real socket, with a client. */
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
    /** The calls so far, except for the attributes that a put reads itself. */
    calls: () =>
      emulator.requests.filter(({ url }) => !url.includes("_attrs_")).map(({ method, url }) => callOf(method, url)),
    attributeReads: () => emulator.requests.filter(({ url }) => url.includes("_attrs_")).length,
  };
}

/** Responds like an empty queue without limits. A response of `respond` overrides it. */
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

/** Creates a client without a network that records what it would send. */
export function recordingQueueClient(
  options: QueueClientOptions = {},
  respond?: (request: TransportRequest) => TransportResponse | Promise<TransportResponse> | undefined,
) {
  const transport = queueTransport(respond);
  return { transport, client: queueClientOf({ origin: "http://127.0.0.1:9" }, { transport, ...options }) };
}
