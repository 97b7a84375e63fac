import type { Bytes } from "../formats/request.js";

/**
 * Creates a response with a `Content-Length`. The default content type is `text/plain` for text and `application/octet-stream`
 * for bytes.
 */
export function createResponse(
  status: number,
  body: string | Uint8Array,
  headers?: Readonly<Record<string, string>>,
): Response {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const type = typeof body === "string" ? "text/plain; charset=utf-8" : "application/octet-stream";
  // 204 and 304 have no body, and `Response` rejects even an empty body.
  return new Response(status === 204 || status === 304 ? null : (bytes as Bytes), {
    status,
    headers: { "content-type": type, "content-length": String(bytes.length), ...headers },
  });
}
