import { chunkStream, type PieceSource } from "./piece-stream.js";

/** A response whose body is read piece by piece, without a `Response` and a stream around it. */
export interface PieceResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly pieces: PieceSource;
}

/** A function that answers a request, and returns a `PieceResponse` where it can. */
export interface PieceHandler {
  readonly handle: (request: Request) => Promise<Response | PieceResponse>;
  /** Whether other code may clone the request. Otherwise a signal that only the request itself has is enough. */
  readonly mayClone: boolean;
}

const handlers = /* @__PURE__ */ new WeakMap<object, PieceHandler>();

/** Creates a public function from a `PieceHandler`. It returns a `Response` always. */
export function responseHandler(handler: PieceHandler): (request: Request) => Promise<Response> {
  const handle = async (request: Request) => {
    const answer = await handler.handle(request);
    if (!("pieces" in answer)) return answer;
    const { status, headers, pieces } = answer;
    return new Response(chunkStream(pieces, 0), { status, headers });
  };
  handlers.set(handle, handler);
  return handle;
}

/**
 * Returns the `PieceHandler` that `responseHandler` made a function from; undefined for other functions. For each request it
 * costs a listener less than the function itself.
 */
export function pieceHandlerOf(handle: object): PieceHandler | undefined {
  return handlers.get(handle);
}
