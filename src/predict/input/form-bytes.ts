import { bytesOfBlob } from "../../call/lazy.js";
import type { Bytes } from "../../formats/request.js";
import { joinChunks, totalLength } from "../../platform/chunks.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { isBlob, messageOf } from "../../util/realms.js";

/**
 * Encodes a form as `multipart/form-data` (RFC 7578), as browsers do. Accepts files from any realm. Rejects with a
 * `TypeError` that names the field if a field's value cannot be sent.
 */
export async function formBytes(fields: readonly (readonly [string, unknown])[], boundary: string): Promise<Bytes> {
  const encoder = new TextEncoder();
  const chunks: Uint8Array[] = [];
  for (const [name, value] of fields) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${quoted(withCrlf(name))}"`;
    if (isBlob(value)) {
      const { name: fileName = "blob", type } = value as Partial<File>;
      const fileHead = `; filename="${quoted(fileName)}"\r\nContent-Type: ${type || "application/octet-stream"}`;
      chunks.push(
        encoder.encode(`${head}${fileHead}\r\n\r\n`),
        await blobBytes(`form field ${show(name)}`, value),
        encoder.encode("\r\n"),
      );
    } else {
      chunks.push(encoder.encode(`${head}\r\n\r\n${withCrlf(fieldText(name, value))}\r\n`));
    }
  }
  chunks.push(encoder.encode(`--${boundary}--\r\n`));
  return joinChunks(chunks, totalLength(chunks));
}

/** Reads a `Blob` from any realm. If the `Blob` cannot be read, rejects with a `TypeError` that contains `subject`. */
export async function blobBytes(subject: string, blob: Blob): Promise<Bytes> {
  try {
    return await bytesOfBlob(blob);
  } catch (error) {
    throw argumentTypeError("ERR_EAS_ARG_REQUEST", `${subject} cannot be read: ${messageOf(error)}`);
  }
}

function fieldText(name: string, value: unknown): string {
  // `FormData.append` converts streams and other unsupported objects to strings like "[object Object]".
  if (typeof value === "string" && !/^\[object \w+\]$/.test(value)) return value;
  throw argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    `form field ${show(name)} is ${show(value)}, which FormData cannot represent: append text or a Blob; read a stream into a Blob first`,
  );
}

function withCrlf(text: string): string {
  return text.replace(/\r\n|\r|\n/g, "\r\n");
}

function quoted(text: string): string {
  return text.replaceAll("\r", "%0D").replaceAll("\n", "%0A").replaceAll('"', "%22");
}
