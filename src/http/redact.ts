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
  for (const [name, value] of headers) clean.append(name, value.replaceAll(token, "***"));
  return clean;
}

/** Text with stars in the place of the token. */
export function redactText(text: string, token: string): string {
  return token.length < LEAST_TOKEN_LENGTH ? text : text.replaceAll(token, "***");
}

/** Deepest chain of causes that is looked through. */
const MAX_CAUSES = 8;

/**
 * The cause of an error, or a plain copy of it where it holds the token: a parser may put into its error what the
 * service sent.
 */
export function redactCause(cause: unknown, token: string): unknown {
  if (token.length < LEAST_TOKEN_LENGTH || !(cause instanceof Error) || !holds(cause, token)) return cause;
  const { code } = cause as { code?: unknown };
  return Object.assign(new Error(redactText(cause.message, token)), typeof code === "string" ? { code } : {});
}

function holds(error: Error, token: string): boolean {
  let current: unknown = error;
  for (let depth = 0; depth < MAX_CAUSES && current instanceof Error; depth++) {
    for (const key of Object.getOwnPropertyNames(current)) {
      if (String((current as unknown as Record<string, unknown>)[key]).includes(token)) return true;
    }
    current = current.cause;
  }
  return false;
}
