import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Requests of one connection that are answered at a time. No browser sends a second one before the answer to the first. */
const MAX_RUNNING = 8;
/** With more waiting requests than this, a connection is closed after the answers to them. Requests cost much more memory than their bytes. */
const MAX_WAITING = 1000;
/** A connection whose waiting requests make no progress for this time is closed: while it is paused, its end is not seen. */
const STALLED_MS = 60_000;

/** One request, and how to answer it. */
interface Exchange {
  readonly outgoing: ServerResponse;
  readonly gone: AbortController;
  readonly start: Start;
}

/** `isPipelined`: other requests of the connection wait. */
type Start = (signal: AbortSignal, isPipelined: boolean) => void;

const connections = new WeakMap<Socket, Connection>();

/**
 * Calls `start` when it is the request's turn, with a signal that fires when the caller disconnects before its answer is
 * complete. Of the requests of an HTTP/1.1 connection, a limited number is answered at a time; the rest is not read.
 */
export function takeTurn(incoming: IncomingMessage, outgoing: ServerResponse, start: Start): void {
  const exchange = { outgoing, gone: new AbortController(), start };
  if (incoming.httpVersionMajor >= 2) {
    // Each request has a stream of its own, which reports its end. The response does not say whether all was sent.
    const { stream } = incoming as IncomingMessage & { readonly stream: NodeJS.EventEmitter };
    stream.once("close", () => {
      if (!outgoing.writableEnded) abort(exchange.gone);
    });
    start(exchange.gone.signal, false);
    return;
  }
  const { socket } = incoming;
  let connection = connections.get(socket);
  if (connection === undefined) {
    connection = new Connection(socket);
    connections.set(socket, connection);
  }
  connection.add(exchange);
}

/** Aborts the exchange when its response closes before it is complete. `onEnd` is called in either case. */
function settle({ outgoing, gone }: Exchange, onEnd: () => void): void {
  outgoing.once("close", () => {
    if (!outgoing.writableFinished) abort(gone);
    onEnd();
  });
}

function abort(gone: AbortController): void {
  if (!gone.signal.aborted) gone.abort(new Error("the caller has gone"));
}

class Connection {
  readonly #socket: Socket;
  readonly #running = new Set<Exchange>();
  #waiting: Exchange[] = [];
  #next = 0;
  #isScheduled = false;
  #isOver = false;
  #stalled: NodeJS.Timeout | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    // One listener for all requests. A response that waits behind another one is not notified of the end.
    socket.on("close", () => {
      clearTimeout(this.#stalled);
      this.#waiting = [];
      this.#next = 0;
      for (const { gone } of this.#running) abort(gone);
      this.#running.clear();
    });
  }

  add(exchange: Exchange): void {
    if (this.#running.size < MAX_RUNNING && this.#waiting.length === 0) return this.#start(exchange);
    if (this.#waiting.length >= MAX_WAITING) this.#isOver = true;
    if (!this.#isOver) this.#waiting.push(exchange);
    this.#pause();
  }

  #start(exchange: Exchange): void {
    this.#running.add(exchange);
    // Until the answer is sent, not only written: those behind a slow one would pile up.
    settle(exchange, () => {
      this.#running.delete(exchange);
      if (this.#waiting.length > 0) this.#schedule();
    });
    exchange.start(exchange.gone.signal, this.#waiting.length > 0);
  }

  /** Starts the next requests in a later turn of the event loop, so that other connections have theirs in between. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      clearTimeout(this.#stalled);
      this.#stalled = undefined;
      while (this.#running.size < MAX_RUNNING && this.#next < this.#waiting.length) {
        const exchange = this.#waiting[this.#next++] as Exchange;
        if (this.#isOver && this.#next === this.#waiting.length) exchange.outgoing.setHeader("connection", "close");
        this.#start(exchange);
      }
      if (this.#isOver || this.#next < this.#waiting.length) return this.#pause();
      this.#waiting = [];
      this.#next = 0;
      if (!this.#socket.destroyed) this.#socket.resume();
    });
  }

  #pause(): void {
    this.#socket.pause();
    this.#stalled ??= setTimeout(() => this.#socket.destroy(), STALLED_MS).unref();
  }
}
