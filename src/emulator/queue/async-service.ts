import type { Bytes } from "../../formats/request.js";
import { isResponse, messageOf } from "../../util/realms.js";
import type { EmulatorHandler, EmulatorResult } from "../services/service.js";
import type { Consumer, EmulatorQueueItem } from "./consumers.js";
import type { QueueSide, Receiver } from "./queue-side.js";

/** The result of processing an item. */
interface Outcome {
  readonly item: EmulatorQueueItem;
  readonly status: number;
  readonly body: Bytes;
}

/**
 * An asynchronous inference service: takes items from the input queue and writes the results to the sink. It never takes more
 * items than the sink has room for.
 */
export class AsyncService {
  readonly #name: string;
  readonly #handler: EmulatorHandler;
  readonly #input: QueueSide;
  readonly #sink: QueueSide;
  readonly #uid = "worker-0";
  readonly #stopped = new AbortController();
  #consumer: Consumer | undefined;
  #inFlight = 0;
  /** Results that wait for free space in the sink, because other clients may have filled the sink. */
  #waiting: Outcome[] = [];

  constructor(name: string, handler: EmulatorHandler, sides: { input: QueueSide; sink: QueueSide }) {
    this.#name = name;
    this.#handler = handler;
    this.#input = sides.input;
    this.#sink = sides.sink;
  }

  /** Joins the input queue as a consumer. */
  start(): void {
    const receiver: Receiver = {
      isFull: () => this.#sink.store.length + this.#inFlight >= this.#sink.context.maxLength,
      push: ({ item }) => {
        this.#inFlight++;
        void this.#run(item);
      },
      end: () => {},
    };
    this.#sink.onChange(() => this.#sinkChanged());
    // The group of a service's workers is named after the service. `search` shows the workers to callers in that group.
    const gid = this.#name;
    const window = this.#input.context.settings.workers;
    const request = { uid: this.#uid, gid, start: 0n, window, indexOnly: false, autoCommit: false, tags: {} };
    this.#consumer = this.#input.join(request, receiver);
  }

  /** Leaves the input queue and aborts the calls in progress. */
  stop(): void {
    this.#stopped.abort(new Error("the service has been stopped"));
    if (this.#consumer) this.#input.leave(this.#consumer);
  }

  async #run(item: EmulatorQueueItem): Promise<void> {
    const outcome = await this.#outcomeOf(item);
    if (this.#stopped.signal.aborted) return;
    this.#waiting.push(outcome);
    this.#sinkChanged();
  }

  async #outcomeOf(item: EmulatorQueueItem): Promise<Outcome> {
    const { requestId = "", ...tags } = item.tags;
    const headers = new Headers({ "x-eas-queueservice-request-id": encodeURIComponent(requestId) });
    if (item.contentType !== undefined) headers.set("content-type", item.contentType);
    try {
      // Call the handler after the push has completed.
      await Promise.resolve();
      const result = await this.#handler({
        service: this.#name,
        method: "POST",
        path: item.path,
        query: new URLSearchParams(tags),
        headers,
        // Copy the data, because the item may be redelivered.
        body: item.data.slice(),
        signal: this.#stopped.signal,
      });
      return { item, ...(await readResult(result)) };
    } catch (error) {
      // This is the response that a synchronous service sends when its handler throws.
      return { item, status: 400, body: encode(messageOf(error)) };
    }
  }

  #sinkChanged(): void {
    while (this.#waiting.length > 0 && !this.#sink.isFull) {
      this.#inFlight--;
      this.#finish(this.#waiting.shift() as Outcome);
    }
    if (!this.#stopped.signal.aborted) this.#input.pump();
  }

  #finish({ item, status, body }: Outcome): void {
    const { maxPayloadBytes } = this.#sink.context.settings;
    const failed = (code: number) => ({ ...item.tags, lastCode: String(code) });
    const { isEnded } = this.#sink.store;
    if (body.length > maxPayloadBytes) {
      // Assumption: the service writes a result here, because the sender would otherwise wait indefinitely.
      const why = encode(`the result has ${body.length} bytes: the maximum is ${maxPayloadBytes}`);
      if (!isEnded) this.#sink.put({ data: why.slice(0, maxPayloadBytes), tags: failed(413) });
    } else if (!isEnded && (status !== 200 || body.length > 0)) {
      // The service does not write empty results. Assumption: it writes failures even if the body is empty.
      this.#sink.put({ data: body, tags: status === 200 ? item.tags : failed(status) });
    }
    this.#input.commit([item.index], this.#uid, this.#name);
  }
}

async function readResult(result: EmulatorResult): Promise<{ status: number; body: Bytes }> {
  if (!isResponse(result)) {
    return { status: 200, body: typeof result === "string" ? encode(result) : result.slice() };
  }
  return { status: result.status, body: new Uint8Array(await result.arrayBuffer()) };
}

function encode(text: string): Bytes {
  return new TextEncoder().encode(text) as Bytes;
}
