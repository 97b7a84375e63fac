import type { Dispatcher } from "undici";

/** Names and values in turn, as bytes. */
export type RawHeaders = readonly Buffer[];

/** What the headers of a response say of its body. */
export interface BodyHeaders {
  /** `Content-Length`; undefined if there is none, or none that is a number. */
  length: number | undefined;
  /** `Content-Encoding` in lower case; undefined if there is none. */
  contentEncoding: string | undefined;
  /** `Transfer-Encoding`; undefined if there is none. */
  transferEncoding: string | undefined;
}

/** The headers of the response that undici hands over. */
export function rawHeadersOf({ rawHeaders }: Dispatcher.DispatchController): RawHeaders {
  return (rawHeaders ?? []) as Buffer[];
}

/** Raw headers as `Headers`. */
export function toHeaders(raw: RawHeaders): Headers {
  const headers = new Headers();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    headers.append((raw[i] as Buffer).toString("latin1"), (raw[i + 1] as Buffer).toString("latin1"));
  }
  return headers;
}

/** Reads only the headers that say how the body is to be read. */
export function bodyHeaders(raw: RawHeaders): BodyHeaders {
  const found: BodyHeaders = { length: undefined, contentEncoding: undefined, transferEncoding: undefined };
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as Buffer;
    if (name.length === 14 && isNamed(name, "content-length")) {
      found.length = lengthIn(textOf(raw[i + 1] as Buffer));
    } else if (name.length === 16 && isNamed(name, "content-encoding")) {
      found.contentEncoding = joined(found.contentEncoding, raw[i + 1] as Buffer);
    } else if (name.length === 17 && isNamed(name, "transfer-encoding")) {
      found.transferEncoding = joined(found.transferEncoding, raw[i + 1] as Buffer);
    }
  }
  return found;
}

/**
 * Whether the end of a body can be told from the end of its connection (RFC 9112, 6.3): `chunked` must be the last transfer
 * coding, and with any other transfer coding a length counts for nothing.
 */
export function isDelimited({ length, transferEncoding }: BodyHeaders): boolean {
  if (transferEncoding === undefined) return length !== undefined;
  return transferEncoding.slice(transferEncoding.lastIndexOf(",") + 1).trim() === "chunked";
}

/** Whether the headers describe a body that is not empty. */
export function hasBody({ length, transferEncoding }: BodyHeaders): boolean {
  return transferEncoding !== undefined || (length ?? 0) > 0;
}

/** Whether a response has no body, whatever its headers say. */
export function isBodiless(method: string, status: number): boolean {
  return method === "HEAD" || status === 204 || status === 304;
}

/** A value without the whitespace around it, which does not belong to it (RFC 9110, 5.5). */
function textOf(raw: Buffer): string {
  return raw.toString("latin1").trim();
}

/** The value of `Content-Length`. A list of equal numbers is one number (RFC 9110, 8.6). */
function lengthIn(value: string): number | undefined {
  if (/^\d{1,15}$/.test(value)) return Number(value);
  const [first, ...others] = value.split(",").map((each) => each.trim());
  if (!/^\d{1,15}$/.test(first as string) || others.some((other) => other !== first)) return undefined;
  return Number(first);
}

/** Headers of one name are one list (RFC 9110, 5.3). */
function joined(before: string | undefined, raw: Buffer): string | undefined {
  const value = textOf(raw).toLowerCase();
  if (value === "") return before;
  return before === undefined ? value : `${before}, ${value}`;
}

/** Whether a raw header name is `name`, given in lower case; the lengths are equal already. */
function isNamed(raw: Buffer, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    // Setting 0x20 makes an upper-case letter lower-case and leaves `-` as it is.
    if (((raw[i] as number) | 0x20) !== name.charCodeAt(i)) return false;
  }
  return true;
}
