import { importOf } from "../../config/validate.js";
import { EasDecodeError, EasUnsupportedError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import { joinChunks, totalLength } from "../../platform/chunks.js";
import type { DecompressionFormat, Decompressor, Platform } from "../../platform/contract.js";
import { show } from "../../util/argument-errors.js";
import type { StreamingResponse } from "../streaming-response.js";
import { CODINGS, codingsOf, formatOf, MAX_CODINGS } from "./content-encoding.js";

/** What is read piece by piece. */
export interface ChunkReader {
  /** As in `StreamedResponse`. */
  read(isBorrowed?: boolean): Promise<Bytes | undefined>;
}

/** The codings that the pieces still have. */
function codingsIn({ contentEncoding }: Pick<StreamingResponse, "contentEncoding">): string[] {
  return codingsOf({ importOf }, contentEncoding ?? "");
}

/** Whether the pieces of an answer are as they were sent, or can be made so. */
export function canDecode(response: Pick<StreamingResponse, "contentEncoding">): boolean {
  return codingsIn(response).every((coding) => CODINGS.has(coding));
}

/** Reads the body of an answer with its content codings decompressed. Throws `EasDecodeError` for one that cannot be. */
export function decodedReader(response: StreamingResponse, platform: Platform): ChunkReader {
  if (response.contentEncoding === undefined) return response;
  const codings = codingsIn(response);
  if (!canDecode(response) || codings.length > MAX_CODINGS) {
    throw new EasDecodeError(
      `the stream has Content-Encoding ${show(codings.join(", "))}, but streams decompress only gzip, deflate and br, at most ${MAX_CODINGS} of them: use predict() with the option decompression`,
      { format: "content-encoding" },
    );
  }
  return codings.reduceRight<ChunkReader>(
    (reader, coding) => decompressed(reader, coding, response, platform),
    response,
  );
}

/** Reads the first pieces of a body until its format is known. */
async function headOf(source: ChunkReader): Promise<Bytes> {
  const pieces: Bytes[] = [];
  for (let length = 0; length < 2; length = totalLength(pieces)) {
    const piece = await source.read();
    if (piece === undefined) break;
    pieces.push(piece);
  }
  return joinChunks(pieces, totalLength(pieces));
}

/** Decompresses one coding. */
function decompressed(
  source: ChunkReader,
  coding: string,
  response: StreamingResponse,
  platform: Platform,
): ChunkReader {
  let failure: { readonly error: unknown } | undefined;
  let rejectRead: ((error: unknown) => void) | undefined;
  let writer: ReturnType<Decompressor["writable"]["getWriter"]> | undefined;
  // At once: what is still packed may be a thousand times as much.
  const fail = (error: unknown) => {
    failure = { error };
    rejectRead?.(error);
    writer?.abort(error).catch(() => {});
  };
  response.atEnd((error) => {
    if (error !== undefined) fail(error);
  });
  const open = async () => {
    const head = await headOf(source);
    const format = formatOf(coding, head) as DecompressionFormat;
    const { readable, writable } = platform.decompressor(format);
    const opened = writable.getWriter();
    writer = opened;
    const pump = async () => {
      for (let piece: Bytes | undefined = head; piece !== undefined; piece = await source.read()) {
        await opened.write(piece);
        // Not before the last piece was taken, so that the server is held back.
        await opened.ready;
      }
      await opened.close();
    };
    // A failure of this side is reported by the reading side.
    pump().catch((error) => opened.abort(error).catch(() => {}));
    return readable.getReader();
  };
  let opening: ReturnType<typeof open> | undefined;
  const undone = async () => {
    try {
      opening ??= open();
      const { done, value } = await (await opening).read();
      return done ? undefined : new Uint8Array(value);
    } catch (cause) {
      // An empty body is none, as in other calls.
      if (response.length === 0) return undefined;
      response.cancel(undefined);
      const why =
        cause instanceof EasUnsupportedError
          ? `which is not supported: ${cause.message}`
          : "but cannot be decompressed";
      throw new EasDecodeError(`the stream has Content-Encoding ${show(coding)}, ${why}`, {
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
