import type { IncomingMessage, ServerResponse } from "node:http";
import type { Bytes } from "../../formats/request.js";
import { type PieceHandler, type PieceResponse, pieceHandlerOf } from "../piece-response.js";
import { type PieceSource, readPieces } from "../piece-stream.js";
import { BodyTakenError, incomingBody } from "./http/incoming-body.js";
import { takeTurn } from "./http/pipeline.js";

/**
 * The part of `IncomingMessage` that the public types need. Declared here so that users' compilers do not need types
 * for `node:http`.
 */
export interface NodeIncoming {
  readonly rawHeaders: readonly string[];
  readonly complete: boolean;
}

/** The part of `ServerResponse` that the public types need. */
export interface NodeOutgoing {
  statusCode: number;
  readonly writableEnded: boolean;
}

/** A function that handles a request. */
export type RequestHandler = (request: Request) => Response | Promise<Response>;

/**
 * Converts a function that handles a `Request`, such as a relay, to a listener for `node:http`, `node:https` and
 * `node:http2` servers. The listener can also be used as an Express handler. Request and response bodies are streamed.
 * The request's signal aborts when the caller disconnects. If the function or its response body fails, the connection
 * is closed.
 *
 * Mount the listener before body parsers. If a parser has read the body and left it as bytes or as UTF-8 text, the
 * listener accepts it. Otherwise, the listener does not call the function and responds with status 500 and an
 * explanation.
 *
 * @example
 * createServer(nodeListener(relay)).listen(8080);
 */
export function nodeListener(handler: RequestHandler): (incoming: NodeIncoming, outgoing: NodeOutgoing) => void {
  const { handle, mayClone } = pieceHandlerOf(handler) ?? { handle: handler, mayClone: true };
  return (...pair) => {
    const [incoming, outgoing] = pair as unknown as [IncomingMessage, ServerResponse];
    const fail = () => breakOff(incoming, outgoing);
    takeTurn(incoming, outgoing, (signal, isPipelined) => {
      const request = () => requestOf(incoming, incomingBody(incoming), signal, mayClone && !isPipelined);
      respond(handle, incoming, outgoing, request, signal, fail).catch(fail);
    });
  };
}

/** Ends a response so that the caller can detect that it is incomplete. */
function breakOff({ httpVersionMajor, socket }: IncomingMessage, outgoing: ServerResponse): void {
  if (httpVersionMajor < 2) socket.destroy();
  else (outgoing as unknown as ServerHttp2).stream.close(INTERNAL_ERROR);
}

interface ServerHttp2 {
  readonly stream: { close(code: number): void };
}
/** The HTTP/2 error code INTERNAL_ERROR (RFC 9113, section 7). */
const INTERNAL_ERROR = 2;
/** Matches headers that control an HTTP/1.1 connection, which HTTP/2 does not allow. */
const OF_CONNECTION = /^(connection|keep-alive|proxy-connection|transfer-encoding|upgrade)$/;

async function respond(
  handle: RequestHandler | PieceHandler["handle"],
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  makeRequest: () => Request | undefined,
  signal: AbortSignal,
  fail: () => void,
): Promise<void> {
  const isHttp2 = incoming.httpVersionMajor >= 2;
  let request: Request | undefined;
  try {
    request = makeRequest();
  } catch (error) {
    if (!(error instanceof BodyTakenError)) throw error;
    return refuse(outgoing, 500, error.message);
  }
  if (request === undefined) {
    if (!isHttp2) outgoing.setHeader("connection", "close");
    return refuse(outgoing, 400, "the target, the host or the method of this request is not valid");
  }
  const answer = await handle(request);
  const { status, headers } = answer;
  outgoing.statusCode = status;
  for (const [name, value] of headers) {
    if (isHttp2 && OF_CONNECTION.test(name)) continue;
    // Each cookie needs its own header line.
    outgoing.setHeader(name, name === "set-cookie" ? headers.getSetCookie() : value);
  }
  // Make Node fail if the body length differs from `Content-Length`. Otherwise, the caller could read the wrong bytes
  // as the next response.
  outgoing.strictContentLength = true;
  if ("pieces" in answer || answer.body !== null) {
    const source = piecesOf(answer, fail);
    if (incoming.method === "HEAD") {
      void Promise.resolve(source.cancel(undefined)).catch(() => {});
    } else {
      // If a chunk is already available, it is sent in one packet with the headers. The headers do not wait for a later
      // chunk.
      setImmediate(flushHead, outgoing, fail);
      await send(source, outgoing, signal);
    }
  }
  // Send the headers first. Otherwise, Node would add a `Content-Length` to a response without chunks.
  if (!outgoing.headersSent) outgoing.flushHeaders();
  outgoing.end();
  // Discard the unread rest of the request body, which would otherwise block the next request on the connection.
  if (!incoming.complete) incoming.resume();
}

/** Sends the headers unless they were already sent with a chunk. Calls `fail` if the headers are not valid. */
function flushHead(outgoing: ServerResponse, fail: () => void): void {
  try {
    if (!outgoing.headersSent) outgoing.flushHeaders();
  } catch {
    fail();
  }
}

function refuse(outgoing: ServerResponse, status: number, error: string): void {
  outgoing.statusCode = status;
  outgoing.setHeader("content-type", "application/json");
  outgoing.end(JSON.stringify({ error }));
}

/**
 * Converts an incoming message to a `Request`. Returns undefined if its URL is not valid, which is possible because a
 * request line can contain any text.
 */
function requestOf(
  incoming: IncomingMessage,
  body: ReturnType<typeof incomingBody>,
  signal: AbortSignal,
  /** Whether clones of the request must also have the request's signal. */
  clonesSignal: boolean,
): Request | undefined {
  const { method = "GET", url = "/", rawHeaders, headers: parsed, socket } = incoming;
  const headers = new Headers();
  try {
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i] as string;
      // HTTP/2 sends the method, path and host as pseudo-headers.
      if (!name.startsWith(":")) headers.append(name, rawHeaders[i + 1] as string);
    }
    const authority = parsed[":authority"];
    if (typeof authority === "string" && !headers.has("host")) headers.set("host", authority);
    const scheme = parsed[":scheme"] ?? ("encrypted" in socket ? "https" : "http");
    // Concatenate the parts, because resolving a path such as "//other.example/" would change the host.
    const host = headers.get("host") || "localhost";
    // These characters would turn part of the host into a path, a query or credentials.
    if (/[/\\?#@]/.test(host) || !/^https?$/.test(String(scheme))) return undefined;
    const whole = `${scheme}://${host}${url.startsWith("/") ? url : `/${url}`}`;
    const hasBody = method !== "GET" && method !== "HEAD";
    const init = { method, headers, ...(hasBody && { body, duplex: "half" }) } as RequestInit;
    if (clonesSignal) return new Request(whole, { ...init, signal });
    // Define the signal afterwards: a signal passed to the `Request` constructor stays in memory until the next full
    // garbage collection, which is too expensive with many requests or streams.
    return Object.defineProperty(new Request(whole, init), "signal", { value: signal });
  } catch {
    return undefined;
  }
}

/** Returns a source that yields a response body's chunks. Calls `fail` if the body fails while no read is pending. */
function piecesOf(answer: Response | PieceResponse, fail: () => void): PieceSource {
  if ("pieces" in answer) {
    answer.pieces.onFail?.(fail);
    return answer.pieces;
  }
  const reader = readPieces(answer.body as ReadableStream<Bytes>);
  reader.closed.catch(fail);
  return reader;
}

/** Sends a body as fast as the caller reads it. Stops when the signal aborts. */
async function send(source: PieceSource, outgoing: ServerResponse, signal: AbortSignal): Promise<void> {
  // Cancel the source when the signal aborts. Otherwise, an endless body would continue after the caller has
  // disconnected.
  let isCanceled = false;
  const cancel = () => {
    isCanceled = true;
    void Promise.resolve(source.cancel(undefined)).catch(() => {});
  };
  signal.addEventListener("abort", cancel);
  if (signal.aborted) cancel();
  while (!isCanceled) {
    const piece = await source.read();
    if (piece === undefined || isCanceled) return;
    if (!outgoing.write(piece)) await drained(outgoing, signal);
  }
}

/**
 * Resolves when more data can be written, or when the connection has ended. Removes its listeners, which would
 * otherwise accumulate during an endless body.
 */
function drained(outgoing: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      outgoing.off("drain", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    outgoing.on("drain", done);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
