import type { Bytes } from "../request.js";

/** Shorter tokens are left alone: their text stands in ordinary words too. */
const LEAST_TOKEN_LENGTH = 4;

/** Puts stars in the place of the token, which a service may have echoed; changes and returns `bytes`. */
export function redactBytes(bytes: Bytes, token: string): Bytes {
  if (token.length < LEAST_TOKEN_LENGTH) return bytes;
  const secret = new TextEncoder().encode(token);
  const first = secret[0] as number;
  for (let at = bytes.indexOf(first); at !== -1; at = bytes.indexOf(first, at + 1)) {
    if (secret.every((byte, i) => bytes[at + i] === byte)) bytes.fill(0x2a, at, at + secret.length);
  }
  return bytes;
}

/** Headers with stars in the place of the token. */
export function redactHeaders(headers: Headers, token: string): Headers {
  if (token.length < LEAST_TOKEN_LENGTH) return headers;
  const clean = new Headers();
  // Names are in lower case here, whatever was sent.
  const lower = token.toLowerCase();
  for (const [name, value] of headers) clean.append(name.replaceAll(lower, "***"), value.replaceAll(token, "***"));
  return clean;
}

/** Text with stars in the place of the token. */
export function redactText(text: string, token: string): string {
  return token.length < LEAST_TOKEN_LENGTH ? text : text.replaceAll(token, "***");
}

/** Deepest chain of causes that is kept. */
const MAX_CAUSES = 8;

/**
 * What is kept of an error underneath: names, messages and codes, clean of the token. Not the error itself, since
 * runtimes hang requests, sockets and what the service sent on theirs.
 */
export function cleanCause(cause: unknown, token: string, depth = 0): unknown {
  if (!(cause instanceof Error)) return typeof cause === "string" ? redactText(cause, token) : undefined;
  const { code, name } = cause as { code?: unknown; name?: unknown };
  const inner = depth < MAX_CAUSES ? cleanCause(cause.cause, token, depth + 1) : undefined;
  const clean = new Error(redactText(String(cause.message), token), inner === undefined ? undefined : { cause: inner });
  Object.defineProperty(clean, "name", { value: String(name), configurable: true });
  return typeof code === "string" ? Object.assign(clean, { code: redactText(code, token) }) : clean;
}
