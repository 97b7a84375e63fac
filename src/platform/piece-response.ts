import { chunkStream, type PieceSource } from "./piece-stream.js";

/** A response whose body is read in chunks. Avoids the cost of a `Response` and its stream. */
export interface PieceResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly pieces: PieceSource;
}

/** A function that handles a request, and returns a `PieceResponse` if possible. */
export interface PieceHandler {
  readonly handle: (request: Request) => Promise<Response | PieceResponse>;
  /** Whether other code may clone the request. If not, only the request itself needs a signal. */
  readonly mayClone: boolean;
}

const handlers = /* @__PURE__ */ new WeakMap<object, PieceHandler>();

/** Creates a public function from a `PieceHandler`. The function always returns a `Response`. */
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
 * Returns the `PieceHandler` from which `responseHandler` created a function, or undefined for other functions. Calling
 * the `PieceHandler` directly saves one listener per request.
 */
export function pieceHandlerOf(handle: object): PieceHandler | undefined {
  return handlers.get(handle);
}
