import type { IncomingMessage } from "node:http";
import type { Bytes } from "../../../formats/request.js";
import { isBytes } from "../../../util/realms.js";

/** A `node:http` request with the properties that body parsers and `node:http2` add. */
interface ParsedIncoming extends IncomingMessage {
  readonly body?: unknown;
  /** Cloud Functions and other frameworks store the original bytes here. */
  readonly rawBody?: unknown;
  readonly stream?: { readonly endAfterHeaders: boolean; readonly destroyed: boolean; readonly rstCode: number };
}

/** The error for a request body that was read before the listener ran and may differ from what the caller sent. */
export class BodyTakenError extends Error {
  constructor(why: string) {
    super(
      `the body of this request was read before the listener received it, ${why}. Mount the listener before body parsers such as express.json(), or let express.raw({ type: () => true }) leave the bytes`,
    );
    this.name = "BodyTakenError";
  }
}

/**
 * Returns the body of a request, or null if the request does not have one. The body stays in the socket until it is
 * read. If a body parser left bytes or text, that content is used. Throws `BodyTakenError` if the body is lost or may
 * differ from what the caller sent.
 */
export function incomingBody(incoming: IncomingMessage): ReadableStream<Bytes> | Bytes | null {
  if (!hasBody(incoming)) return null;
  return incoming.readableDidRead || incoming.readableEnded ? leftBody(incoming) : streamedBody(incoming);
}

function hasBody({ headers, httpVersionMajor, stream }: ParsedIncoming): boolean {
  if (httpVersionMajor >= 2) return stream?.endAfterHeaders !== true;
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) !== 0;
}

function leftBody({ body, rawBody, headers }: ParsedIncoming): Bytes {
  const left = rawBody ?? body;
  const encoding = headers["content-encoding"] ?? "identity";
  // A body parser has decompressed the body, so it differs from what the caller sent.
  if (!/^identity$/i.test(encoding)) throw new BodyTakenError(`and its content encoding (${encoding}) was removed`);
  const bytes = typeof left === "string" ? encoded(left, headers["content-type"] ?? "") : left;
  if (!isBytes(bytes)) {
    throw new BodyTakenError(bytes === undefined ? "and none of it was left" : "and was parsed");
  }
  const stated = headers["content-length"];
  if (stated !== undefined && Number(stated) !== bytes.length) {
    throw new BodyTakenError(`and ${bytes.length} of its ${stated} bytes were left`);
  }
  return new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
}

function encoded(text: string, contentType: string): Uint8Array {
  const charset = /charset\s*=\s*"?([\w-]+)/i.exec(contentType)?.[1] ?? "utf-8";
  // A replacement character may have replaced any invalid bytes, so the original bytes cannot be recovered.
  if (/^(utf-8|utf8|us-ascii)$/i.test(charset) && !text.includes("\ufffd")) return new TextEncoder().encode(text);
  throw new BodyTakenError("and was decoded to text");
}

function streamedBody(incoming: ParsedIncoming): ReadableStream<Bytes> {
  let pieces: AsyncIterator<Uint8Array> | undefined;
  // Keep a reference to the stream, because a closed request no longer has this property.
  const { stream } = incoming;
  return new ReadableStream<Bytes>(
    {
      async pull(controller) {
        pieces ??= incoming.iterator({ destroyOnReturn: false });
        const { done, value } = await pieces.next();
        if (!done) controller.enqueue(value as Bytes);
        // In HTTP/2, the body looks complete even if its stream was reset.
        else if (stream?.destroyed || stream?.rstCode) controller.error(new Error("the caller disconnected"));
        else controller.close();
      },
      async cancel() {
        await pieces?.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}
