import { show } from "../argument-errors.js";
import { EasDecodeError } from "../errors.js";
import { decompressionStream } from "../platform/web-compression.js";
import type { Bytes } from "../request.js";
import { CODINGS, codingsOf } from "./content-encoding.js";
import { own } from "./decoding.js";
import type { OpenedResponse } from "./opened-response.js";

/** What is read piece by piece. */
export interface PieceReader {
  read(): Promise<Bytes | undefined>;
}

/** The coding that is to be undone; empty when the pieces are as they were sent. */
function codingOf({ contentEncoding }: Pick<OpenedResponse, "contentEncoding">): string {
  return codingsOf(contentEncoding ?? "").join(", ");
}

/** Whether the pieces of an answer are as they were sent, or can be made so. */
export function canUndo(response: Pick<OpenedResponse, "contentEncoding">): boolean {
  const coding = codingOf(response);
  return coding === "" || own(CODINGS, coding) !== undefined;
}

/** Reads the body of an answer with its content coding undone. Throws `EasDecodeError` for one that cannot be. */
export function undoneReader(response: OpenedResponse): PieceReader {
  const coding = codingOf(response);
  if (coding === "") return response;
  const format = own(CODINGS, coding);
  if (format === undefined) {
    throw new EasDecodeError(
      `the stream has Content-Encoding ${show(coding)}, and only gzip and deflate can be undone piece by piece: predict() takes the option decompression`,
      { format: "content-encoding" },
    );
  }
  const { readable, writable } = decompressionStream(format);
  const writer = writable.getWriter();
  let failure: { readonly error: unknown } | undefined;
  let rejectRead: ((error: unknown) => void) | undefined;
  // At once: what is still packed may be a thousand times as much.
  const fail = (error: unknown) => {
    failure = { error };
    rejectRead?.(error);
    writer.abort(error).catch(() => {});
  };
  response.atEnd((error) => {
    if (error !== undefined) fail(error);
  });
  const pump = async () => {
    for (;;) {
      // Not before what came is taken, so that the server is held back.
      await writer.ready;
      const piece = await response.read();
      if (piece === undefined) break;
      await writer.write(piece as BufferSource);
    }
    await writer.close();
  };
  // Its reader hears of it.
  pump().catch(() => {});
  const reader = readable.getReader();
  const undone = async () => {
    try {
      const { done, value } = await reader.read();
      return done ? undefined : new Uint8Array(value);
    } catch {
      // An empty body is none, as in other calls.
      if (response.length === 0) return undefined;
      response.cancel(undefined);
      throw new EasDecodeError(`the stream has Content-Encoding ${show(coding)}, but cannot be decompressed`, {
        format: "content-encoding",
      });
    }
  };
  return {
    read: () =>
      new Promise((resolve, reject) => {
        if (failure) return reject(failure.error);
        rejectRead = reject;
        undone().then(resolve, reject);
        return undefined;
      }),
  };
}
