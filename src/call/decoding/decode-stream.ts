import { importOf } from "../../config/validate.js";
import { EasDecodeError, EasUnsupportedError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import { joinChunks, totalLength } from "../../platform/chunks.js";
import type { DecompressionFormat, Decompressor, Platform } from "../../platform/contract.js";
import { show } from "../../util/argument-errors.js";
import type { StreamingResponse } from "../streaming-response.js";
import { CODINGS, codingsOf, formatOf, MAX_CODINGS } from "./content-encoding.js";

/** Reads a body in chunks. */
export interface ChunkReader {
  /** Resolves with the next chunk, or with undefined at the end. For `isBorrowed`, see `StreamedResponse`. */
  read(isBorrowed?: boolean): Promise<Bytes | undefined>;
}

/** Returns the content codings in which the chunks are still encoded. */
function codingsIn({ contentEncoding }: Pick<StreamingResponse, "contentEncoding">): string[] {
  return codingsOf({ importOf }, contentEncoding ?? "");
}

/** Whether a response's chunks can be decoded or need no decoding. */
export function canDecode(response: Pick<StreamingResponse, "contentEncoding">): boolean {
  return codingsIn(response).every((coding) => CODINGS.has(coding));
}

/** Returns a reader that decodes a response's chunks. Throws `EasDecodeError` for an unsupported content coding. */
export function decodedReader(response: StreamingResponse, platform: Platform): ChunkReader {
  if (response.contentEncoding === undefined) return response;
  const codings = codingsIn(response);
  if (!canDecode(response) || codings.length > MAX_CODINGS) {
    throw new EasDecodeError(
      `the stream has Content-Encoding ${show(codings.join(", "))}: streams support only gzip, deflate and br, and at most ${MAX_CODINGS} codings. Use predict() with the decompression option`,
      { format: "content-encoding" },
    );
  }
  return codings.reduceRight<ChunkReader>(
    (reader, coding) => decompressed(reader, coding, response, platform),
    response,
  );
}

/** Reads at least the first 2 bytes of a body, which determine its format, or the whole body if it is shorter. */
async function headOf(source: ChunkReader): Promise<Bytes> {
  const chunks: Bytes[] = [];
  for (let length = 0; length < 2; length = totalLength(chunks)) {
    const chunk = await source.read();
    if (chunk === undefined) break;
    chunks.push(chunk);
  }
  return joinChunks(chunks, totalLength(chunks));
}

/** Returns a reader that decodes a single content coding. */
function decompressed(
  source: ChunkReader,
  coding: string,
  response: StreamingResponse,
  platform: Platform,
): ChunkReader {
  let failure: { readonly error: unknown } | undefined;
  let rejectRead: ((error: unknown) => void) | undefined;
  let writer: ReturnType<Decompressor["writable"]["getWriter"]> | undefined;
  // Fail immediately, because the remaining data may expand to a thousand times its size.
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
      for (let chunk: Bytes | undefined = head; chunk !== undefined; chunk = await source.read()) {
        await opened.write(chunk);
        // Wait for the writer to drain so that backpressure reaches the server.
        await opened.ready;
      }
      await opened.close();
    };
    // Writer errors are ignored here because the reader reports them.
    pump().catch((error) => opened.abort(error).catch(() => {}));
    return readable.getReader();
  };
  let opening: ReturnType<typeof open> | undefined;
  const readDecoded = async () => {
    try {
      opening ??= open();
      const { done, value } = await (await opening).read();
      return done ? undefined : new Uint8Array(value);
    } catch (cause) {
      // An empty body stays empty, as it does in other calls.
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
        readDecoded().then(resolve, reject);
        return undefined;
      }),
  };
}
