import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * Maximum number of requests handled concurrently per connection. A small number is sufficient because browsers do not
 * pipeline requests.
 */
const MAX_RUNNING = 8;
/**
 * Maximum number of waiting requests. If there are more, the connection is closed after their responses, because a
 * request uses much more memory than its bytes. The socket is paused while requests wait, so the limit is above the
 * number of requests that fit into a single 64 KiB read by Node.
 */
const MAX_WAITING = 4000;
/**
 * Time after which a connection is closed if its waiting requests make no progress, in milliseconds. Needed because the
 * end of a connection is not detected while its socket is paused.
 */
const STALLED_MS = 60_000;

/** A queued request. */
interface Waiting {
  readonly outgoing: ServerResponse;
  readonly start: Start;
}

/** Starts a request. `isPipelined` is true while other requests on the connection are waiting. */
type Start = (signal: AbortSignal, isPipelined: boolean) => void;

const connections = new WeakMap<Socket, Connection>();

/**
 * Calls `start` when the request can be handled, with a signal that aborts if the caller disconnects before the
 * response is complete. Limits the number of concurrent requests on an HTTP/1.1 connection, and pauses the connection
 * above the limit.
 */
export function takeTurn(incoming: IncomingMessage, outgoing: ServerResponse, start: Start): void {
  if (incoming.httpVersionMajor >= 2) {
    // In HTTP/2, listen to the request's own stream, which emits "close". The response object does not report whether
    // everything was sent.
    const { stream } = incoming as IncomingMessage & { readonly stream: NodeJS.EventEmitter };
    const gone = new AbortController();
    stream.once("close", () => {
      if (!outgoing.writableEnded) abort(gone);
    });
    start(gone.signal, false);
    return;
  }
  const { socket } = incoming;
  let connection = connections.get(socket);
  if (connection === undefined) {
    connection = new Connection(socket);
    connections.set(socket, connection);
  }
  connection.add({ outgoing, start });
}

function abort(gone: AbortController): void {
  if (!gone.signal.aborted) gone.abort(new Error("the caller disconnected"));
}

class Connection {
  readonly #socket: Socket;
  /** Controllers for the requests that are being handled. */
  readonly #running = new Set<AbortController>();
  /** The queue of waiting requests. Requests before index `#next` have been started, so their entries are undefined. */
  #waiting: (Waiting | undefined)[] = [];
  #next = 0;
  #isScheduled = false;
  #isOver = false;
  #isPaused = false;
  #stalled: NodeJS.Timeout | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    // Pause the socket again if necessary, because Node resumes it after each request whose body was read or discarded.
    socket.on("resume", () => {
      if (this.#isPaused) socket.pause();
    });
    // A single listener on the socket serves all requests, because a queued response is not notified when the
    // connection ends.
    socket.on("close", () => {
      clearTimeout(this.#stalled);
      this.#waiting = [];
      this.#next = 0;
      for (const gone of this.#running) abort(gone);
      this.#running.clear();
    });
  }

  add(request: Waiting): void {
    if (this.#running.size < MAX_RUNNING && this.#waiting.length === 0) return this.#start(request);
    if (this.#waiting.length >= MAX_WAITING) this.#isOver = true;
    if (!this.#isOver) this.#waiting.push(request);
    this.#pause();
  }

  #start({ outgoing, start }: Waiting): void {
    const gone = new AbortController();
    this.#running.add(gone);
    // Wait until the response has been sent, not only written. Otherwise, responses would accumulate behind a slow response.
    outgoing.once("close", () => {
      if (!outgoing.writableFinished) abort(gone);
      this.#running.delete(gone);
      if (this.#waiting.length > 0) this.#schedule();
    });
    start(gone.signal, this.#waiting.length > 0);
  }

  /** Starts the next requests in a later event-loop turn, so that other connections are served in between. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      clearTimeout(this.#stalled);
      this.#stalled = undefined;
      while (this.#running.size < MAX_RUNNING && this.#next < this.#waiting.length) {
        const request = this.#waiting[this.#next] as Waiting;
        this.#waiting[this.#next++] = undefined;
        if (this.#isOver && this.#next === this.#waiting.length) request.outgoing.setHeader("connection", "close");
        this.#start(request);
      }
      if (this.#isOver || this.#next < this.#waiting.length) return this.#pause();
      this.#waiting = [];
      this.#next = 0;
      this.#isPaused = false;
      if (!this.#socket.destroyed) this.#socket.resume();
    });
  }

  #pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
    this.#stalled ??= setTimeout(() => this.#socket.destroy(), STALLED_MS).unref();
  }
}
