import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { joinChunks, totalLength } from "../../platform/chunks.js";
import { decode } from "../gateway/request-target.js";

/**
 * Replaces a secret in requests and headers. The length is fixed, so that a replayed request matches even if its token
 * is different.
 */
const MARK = "REDACTED";
/** Minimum length of a secret. Shorter texts are not searched for, because they also occur in unrelated text. */
const MIN_SECRET_LENGTH = 4;
/** Maximum number of learned secrets; the oldest is forgotten first. */
const MAX_SECRETS = 100;
/** Names of headers and query parameters that contain a secret. */
const SECRET_NAME =
  /(token|secret|password|passwd|signature|credentials?|api[-_]?key|access[-_]?key([-_]?id)?|authorization|cookie2?|^auth|^sig|^key)$/i;

/** Whether a header or query parameter of this name contains a secret. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** The secrets of a session. Learns the credentials of each request, so that they can be removed wherever they occur. */
export class Secrets {
  readonly #given: readonly string[];
  readonly #learned: Set<string> = new Set();

  constructor(given: readonly string[] = []) {
    this.#given = given;
  }

  /** Learns the credentials of a request. Returns the texts and bytes to remove from this request and its response. */
  learn(headers: Iterable<readonly [string, string]>, url: string): Redaction {
    const own: string[] = [];
    const signatures: string[] = [];
    for (const [name, value] of headers) {
      // Each signature is used once, so it is not remembered.
      if (isSecretName(name)) (/^EAS /.test(value) ? signatures : own).push(...secretsIn(name, value));
    }
    const query = url.indexOf("?");
    if (query !== -1) {
      for (const [name, value] of new URLSearchParams(url.slice(query + 1))) if (isSecretName(name)) own.push(value);
    }
    for (const secret of own) {
      this.#learned.delete(secret);
      this.#learned.add(secret);
    }
    for (const secret of this.#learned) {
      if (this.#learned.size <= MAX_SECRETS) break;
      this.#learned.delete(secret);
    }
    return new Redaction([...new Set([...this.#given, ...this.#learned, ...own, ...signatures])]);
  }
}

/** Returns the secrets in a header: the whole value, and its credentials without the scheme. */
function secretsIn(name: string, value: string): string[] {
  if (/cookie/i.test(name)) return value.split(/[;,]/).flatMap((pair) => pair.slice(pair.indexOf("=") + 1).trim());
  const [, scheme, credentials = ""] = /^(\S+)\s+(.*)$/.exec(value.trim()) ?? [];
  if (scheme === undefined) return [value.trim()];
  const found = [value.trim(), credentials.trim()];
  if (/^basic$/i.test(scheme)) found.push(...userAndPassword(credentials));
  return found;
}

function userAndPassword(credentials: string): string[] {
  try {
    const text = new TextDecoder().decode(base64Decode(credentials));
    return [text, text.slice(text.indexOf(":") + 1)];
  } catch {
    return [];
  }
}

/** Removes secrets from texts and bytes. */
export class Redaction {
  readonly #texts: readonly string[];
  /** The secrets in the encodings in which services return them, longest first. */
  readonly #patterns: readonly Uint8Array[];

  constructor(secrets: readonly string[]) {
    const forms = new Set(secrets.filter((secret) => secret.length >= MIN_SECRET_LENGTH).flatMap(formsOf));
    this.#texts = [...forms].sort((a, b) => b.length - a.length);
    this.#patterns = this.#texts.map((text) => new TextEncoder().encode(text));
  }

  /** Returns a text in which each secret is replaced with `REDACTED`. */
  text(text: string): string {
    let redacted = text;
    for (const secret of this.#texts) redacted = redacted.replaceAll(secret, MARK);
    return redacted;
  }

  /** Returns a path with its query, without secrets and without the values of secret parameters. */
  url(url: string): string {
    const query = url.indexOf("?");
    if (query === -1) return this.text(url);
    const pairs = url.slice(query + 1).split("&");
    const redacted = pairs.map((pair) => {
      const name = pair.split("=", 1)[0] as string;
      return isSecretName(decode(name)) ? `${name}=${MARK}` : pair;
    });
    return this.text(`${url.slice(0, query + 1)}${redacted.join("&")}`);
  }

  /** Returns a stream that replaces secrets with `REDACTED`. */
  request(): RedactedStream {
    const mark = new TextEncoder().encode(MARK);
    return new RedactedStream(this.#patterns, () => mark);
  }

  /** Returns a stream that calls `onFound` for each secret. */
  search(onFound: () => void): RedactedStream {
    return new RedactedStream(this.#patterns, (pattern) => {
      onFound();
      return pattern;
    });
  }

  /** Returns a stream that replaces secrets with asterisks, so that the size of each chunk stays the same. */
  response(): RedactedStream {
    return new RedactedStream(this.#patterns, ({ length }) => new Uint8Array(length).fill(0x2a));
  }
}

/** Replaces secrets in bytes that arrive in chunks. */
export class RedactedStream {
  readonly #patterns: readonly Uint8Array[];
  readonly #replacement: (pattern: Uint8Array) => Uint8Array;
  /** End of the received bytes that may be the start of a secret. */
  #held: Uint8Array = new Uint8Array(0);

  constructor(patterns: readonly Uint8Array[], replacement: (pattern: Uint8Array) => Uint8Array) {
    this.#patterns = patterns;
    this.#replacement = replacement;
  }

  /** Returns the bytes that cannot be part of a secret that continues in the next chunk. */
  push(chunk: Uint8Array): Uint8Array {
    const redacted = this.#replace(this.#held.length === 0 ? chunk : concat([this.#held, chunk]));
    const end = redacted.length - this.#partialLength(redacted);
    this.#held = redacted.slice(end);
    return redacted.subarray(0, end);
  }

  /** Returns the last bytes. */
  end(): Uint8Array {
    const last = this.#held;
    this.#held = new Uint8Array(0);
    return last;
  }

  /** Redacts bytes that do not continue in another chunk. */
  whole(bytes: Uint8Array): Uint8Array {
    return this.#replace(bytes);
  }

  #replace(bytes: Uint8Array): Uint8Array {
    let result = bytes;
    for (const pattern of this.#patterns) {
      const parts: Uint8Array[] = [];
      let from = 0;
      for (let at = indexOf(result, pattern, 0); at !== -1; at = indexOf(result, pattern, from)) {
        parts.push(result.subarray(from, at), this.#replacement(pattern));
        from = at + pattern.length;
      }
      if (from > 0) result = concat([...parts, result.subarray(from)]);
    }
    return result;
  }

  /** Returns the length of the longest suffix of `bytes` that is a prefix of a secret. */
  #partialLength(bytes: Uint8Array): number {
    let longest = 0;
    for (const pattern of this.#patterns) {
      for (let length = Math.min(pattern.length - 1, bytes.length); length > longest; length--) {
        if (startsWith(bytes, bytes.length - length, pattern, length)) longest = length;
      }
    }
    return longest;
  }
}

/**
 * Returns the forms in which services return a secret: plain, percent-encoded, as a JSON string, in base64 and in
 * hexadecimal.
 */
function formsOf(secret: string): string[] {
  const bytes = new TextEncoder().encode(secret);
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const json = JSON.stringify(secret).slice(1, -1);
  const forms = [secret, encodeURIComponent(secret), json, json.replaceAll("/", "\\/"), hex, hex.toUpperCase()];
  // In the base64 form of longer data, a secret has one of three forms, depending on its position.
  for (let offset = 0; offset < 3; offset++) {
    const whole = base64Encode(concat([new Uint8Array(offset), bytes]));
    const form = whole.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
    if (form.length >= MIN_SECRET_LENGTH) forms.push(form, form.replaceAll("+", "-").replaceAll("/", "_"));
  }
  return forms;
}

function indexOf(bytes: Uint8Array, pattern: Uint8Array, from: number): number {
  const first = pattern[0] as number;
  for (let at = bytes.indexOf(first, from); at !== -1; at = bytes.indexOf(first, at + 1)) {
    if (at + pattern.length > bytes.length) return -1;
    if (startsWith(bytes, at, pattern, pattern.length)) return at;
  }
  return -1;
}

function startsWith(bytes: Uint8Array, at: number, pattern: Uint8Array, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[at + i] !== pattern[i]) return false;
  return true;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return joinChunks(parts, totalLength(parts));
}
