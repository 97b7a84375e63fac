import type { Dispatcher } from "undici";

/** Header names and values as bytes, in alternating order. */
export type RawHeaders = readonly Buffer[];

/** The response headers that describe the body. */
export interface BodyHeaders {
  /** `Content-Length`. Undefined if the header is missing or is not a number. */
  length: number | undefined;
  /** Lowercase value of `Content-Encoding`. Undefined if the header is missing. */
  contentEncoding: string | undefined;
  /** `Transfer-Encoding`. Undefined if the header is missing. */
  transferEncoding: string | undefined;
}

/** Returns a response's raw headers from undici's controller. */
export function rawHeadersOf({ rawHeaders }: Dispatcher.DispatchController): RawHeaders {
  return (rawHeaders ?? []) as Buffer[];
}

/** Converts raw headers to `Headers`. */
export function toHeaders(raw: RawHeaders): Headers {
  const headers = new Headers();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    headers.append((raw[i] as Buffer).toString("latin1"), (raw[i + 1] as Buffer).toString("latin1"));
  }
  return headers;
}

/** Reads only the headers that describe the body. */
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
 * Whether the end of a body can be distinguished from the end of its connection (RFC 9112, 6.3). If there is a transfer
 * coding, the last one must be `chunked`, and the length is ignored.
 */
export function isDelimited({ length, transferEncoding }: BodyHeaders): boolean {
  if (transferEncoding === undefined) return length !== undefined;
  return transferEncoding.slice(transferEncoding.lastIndexOf(",") + 1).trim() === "chunked";
}

/** Whether the headers announce a body that is not empty. */
export function hasBody({ length, transferEncoding }: BodyHeaders): boolean {
  return transferEncoding !== undefined || (length ?? 0) > 0;
}

/** Whether a response has no body, regardless of its headers. */
export function isBodiless(method: string, status: number): boolean {
  return method === "HEAD" || status === 204 || status === 304;
}

/** Returns a header value without surrounding whitespace (RFC 9110, 5.5). */
function textOf(raw: Buffer): string {
  return raw.toString("latin1").trim();
}

/** Parses `Content-Length`. A list of equal numbers counts as one number (RFC 9110, 8.6). */
function lengthIn(value: string): number | undefined {
  if (/^\d{1,15}$/.test(value)) return Number(value);
  const [first, ...others] = value.split(",").map((each) => each.trim());
  if (!/^\d{1,15}$/.test(first as string) || others.some((other) => other !== first)) return undefined;
  return Number(first);
}

/** Joins the values of same-named headers into a list (RFC 9110, 5.3). */
function joined(before: string | undefined, raw: Buffer): string | undefined {
  const value = textOf(raw).toLowerCase();
  if (value === "") return before;
  return before === undefined ? value : `${before}, ${value}`;
}

/** Whether a raw header name equals `name`. `name` must be lowercase and have the same length. */
function isNamed(raw: Buffer, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    // Setting bit 0x20 converts letters to lower case and does not change `-`.
    if (((raw[i] as number) | 0x20) !== name.charCodeAt(i)) return false;
  }
  return true;
}
