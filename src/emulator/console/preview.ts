import { isSecretName } from "../cassettes/redaction.js";
import type { BodyPreview } from "./protocol.js";

/** Number of bytes of a body that the console keeps. */
export const PREVIEW_BYTES = 4096;
/** Number of bytes of a binary body that the console shows. */
const HEX_BYTES = 256;
const HEX_LINE = 16;
/** Tokens that are shorter are not searched for, because they occur in unrelated text. */
const MIN_SECRET_LENGTH = 4;
const MASK = "••••••";

/** Removes the tokens of the emulator from texts. */
export class Mask {
  readonly #secrets: () => readonly string[];

  constructor(secrets: () => readonly string[]) {
    this.#secrets = secrets;
  }

  /** Masks the tokens in a text. */
  text(text: string): string {
    let masked = text;
    for (const secret of new Set(this.#secrets())) {
      if (secret.length >= MIN_SECRET_LENGTH) masked = masked.replaceAll(secret, MASK);
    }
    return masked;
  }

  /** Masks the tokens in headers, and the values of headers for credentials except their scheme. */
  headers(headers: Iterable<readonly [string, string]>): [string, string][] {
    return [...headers].map(([name, value]) => {
      if (!isSecretName(name)) return [name, this.text(value)];
      const [scheme = ""] = /^(Bearer|Basic|EAS|ACS3-HMAC-SHA256) /i.exec(value) ?? [];
      return [name, `${scheme}${MASK}`];
    });
  }

  /** Masks the tokens in a path with its query, and the values of query parameters for credentials. */
  url(url: string): string {
    const masked = url.replace(/([?&])([^=&]+)=([^&]*)/g, (whole, start: string, name: string) =>
      isSecretName(name) ? `${start}${name}=${MASK}` : whole,
    );
    return this.text(masked);
  }

  /** Returns the beginning of a body: as text if it is UTF-8 text, otherwise as a hexadecimal dump. */
  body(start: Uint8Array, length: number): BodyPreview {
    const text = textOf(start, length > start.length);
    if (text !== undefined) return { text: this.text(text), isHex: false, isCut: length > start.length };
    return { text: hexOf(start.subarray(0, HEX_BYTES)), isHex: true, isCut: length > HEX_BYTES };
  }
}

function textOf(bytes: Uint8Array, isCut: boolean): string | undefined {
  try {
    // With `stream`, an incomplete character at the end is not an error.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: isCut });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
    return /[\x00-\x08\x0e-\x1a]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function hexOf(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += HEX_LINE) {
    const line = bytes.subarray(at, at + HEX_LINE);
    const hex = Array.from(line, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = Array.from(line, (byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(HEX_LINE * 3 - 1)}  ${text}`);
  }
  return lines.join("\n");
}
