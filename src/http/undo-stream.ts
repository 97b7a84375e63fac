import { show } from "../argument-errors.js";
import { EasDecodeError } from "../errors.js";
import type { Bytes } from "../request.js";
import type { OpenedResponse } from "./opened-response.js";

/** What is read piece by piece. */
export interface PieceReader {
  read(): Promise<Bytes | undefined>;
}

/** Content codings that can be undone piece by piece on every runtime. HTTP's "deflate" is the zlib format. */
const FORMATS: Readonly<Record<string, "gzip" | "deflate">> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "deflate",
  zlib: "deflate",
};

/** Whether the pieces of an answer are as they were sent, or can be made so. */
export function canUndo({ contentEncoding }: Pick<OpenedResponse, "contentEncoding">): boolean {
  return contentEncoding === undefined || Object.hasOwn(FORMATS, contentEncoding);
}

/** Reads the body of an answer with its content coding undone. Throws `EasDecodeError` for one that cannot be. */
export function undoneReader(response: OpenedResponse): PieceReader {
  const { contentEncoding } = response;
  if (contentEncoding === undefined) return response;
  const format = Object.hasOwn(FORMATS, contentEncoding) ? FORMATS[contentEncoding] : undefined;
  if (format === undefined) {
    throw new EasDecodeError(
      `the stream has Content-Encoding ${show(contentEncoding)}, and only gzip and deflate can be undone piece by piece: predict() takes the option decompression`,
      { format: "content-encoding" },
    );
  }
  const { readable, writable } = new DecompressionStream(format);
  const writer = writable.getWriter();
  let failure: { readonly error: unknown } | undefined;
  const pump = async () => {
    try {
      for (;;) {
        // Not before what came is taken, so that the server is held back.
        await writer.ready;
        const piece = await response.read().catch((error: unknown) => {
          failure = { error };
          throw error;
        });
        if (piece === undefined) break;
        await writer.write(piece as BufferSource);
      }
      await writer.close();
    } catch (error) {
      await writer.abort(error);
    }
  };
  void pump().catch(() => {});
  const reader = readable.getReader();
  return {
    async read() {
      try {
        const { done, value } = await reader.read();
        return done ? undefined : new Uint8Array(value);
      } catch {
        if (failure) throw failure.error;
        throw new EasDecodeError(
          `the stream has Content-Encoding ${show(contentEncoding)}, but cannot be decompressed`,
          {
            format: "content-encoding",
          },
        );
      }
    },
  };
}
