import type { IncomingMessage, ServerResponse } from "node:http";
import type { Bytes } from "../request.js";

/** What is shown of an `IncomingMessage`: a consumer's compiler need not know `node:http`. */
export interface NodeIncoming {
  readonly rawHeaders: readonly string[];
  readonly complete: boolean;
}

/** What is shown of a `ServerResponse`. */
export interface NodeOutgoing {
  statusCode: number;
  readonly writableFinished: boolean;
}

/** What answers a request. */
export type RequestHandler = (request: Request) => Response | Promise<Response>;

/**
 * Makes a listener for the servers of `node:http` and `node:https`, and a handler for Express, of a function that answers a
 * `Request`, such as a relay. Both bodies pass as they come, and the request's signal fires when the caller goes. Where the
 * function, or the body of its answer, fails, the connection is broken.
 *
 * @example
 * createServer(nodeListener(relay)).listen(8080);
 */
export function nodeListener(handler: RequestHandler): (incoming: NodeIncoming, outgoing: NodeOutgoing) => void {
  return (...pair) => {
    const [incoming, outgoing] = pair as unknown as [IncomingMessage, ServerResponse];
    const gone = new AbortController();
    const { socket } = incoming;
    const onClose = () => {
      socket.off("close", onClose);
      if (!outgoing.writableFinished) gone.abort(new Error("the caller has gone"));
    };
    outgoing.once("close", onClose);
    // An answer that waits behind another on its connection hears nothing of its end.
    socket.on("close", onClose);
    respond(handler, incoming, outgoing, gone.signal).catch(() => incoming.socket.destroy());
  };
}

async function respond(
  handler: RequestHandler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const request = requestOf(incoming, signal);
  if (request === undefined) {
    outgoing.writeHead(400, { connection: "close" }).end();
    return;
  }
  const { status, headers, body } = await handler(request);
  outgoing.statusCode = status;
  // One line for each cookie.
  for (const [name, value] of headers) {
    outgoing.setHeader(name, name === "set-cookie" ? headers.getSetCookie() : value);
  }
  // Else what is too much, or too little, would be taken for a part of the next answer.
  outgoing.strictContentLength = true;
  // The head is not to wait for the first byte.
  outgoing.flushHeaders();
  if (incoming.method === "HEAD") void body?.cancel().catch(() => {});
  else if (body !== null) await send(body, outgoing, signal);
  outgoing.end();
  // What nobody has read is in the next request's way.
  if (!incoming.complete) incoming.resume();
}

/** Undefined for what is no URL: anything can stand in a request's first line. */
function requestOf(incoming: IncomingMessage, signal: AbortSignal): Request | undefined {
  const { method = "GET", url = "/", rawHeaders } = incoming;
  const headers = new Headers();
  try {
    for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i] as string, rawHeaders[i + 1] as string);
    const scheme = "encrypted" in incoming.socket ? "https" : "http";
    // Joined, not resolved: "//other.example/" would name another host.
    const host = headers.get("host") || "localhost";
    // It would be a part of the path.
    if (/[/\\?#@]/.test(host)) return undefined;
    const whole = `${scheme}://${host}${url.startsWith("/") ? url : `/${url}`}`;
    const hasBody = method !== "GET" && method !== "HEAD";
    return new Request(whole, {
      method,
      headers,
      signal,
      ...(hasBody && { body: bodyOf(incoming), duplex: "half" }),
    } as RequestInit);
  } catch {
    return undefined;
  }
}

/** The body of a request. It is left in the socket until somebody reads it. */
function bodyOf(incoming: IncomingMessage): ReadableStream<Bytes> | null {
  const { headers } = incoming;
  if (headers["transfer-encoding"] === undefined && Number(headers["content-length"] ?? 0) === 0) return null;
  let pieces: AsyncIterator<Uint8Array> | undefined;
  return new ReadableStream<Bytes>(
    {
      async pull(controller) {
        pieces ??= incoming.iterator({ destroyOnReturn: false });
        const { done, value } = await pieces.next();
        if (done) controller.close();
        else controller.enqueue(value as Bytes);
      },
      async cancel() {
        await pieces?.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Sends a body at the caller's pace, until the signal fires. */
async function send(body: ReadableStream<Uint8Array>, outgoing: ServerResponse, signal: AbortSignal): Promise<void> {
  const reader = body.getReader();
  // An endless body would else not hear that the caller has gone.
  const cancel = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel);
  if (signal.aborted) cancel();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    if (!outgoing.write(value)) await drained(outgoing, signal);
  }
}

/** Resolves when more can be written, or nothing more at all. Leaves no listeners: an endless body waits often. */
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
