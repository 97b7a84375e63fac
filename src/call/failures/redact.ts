import type { Bytes } from "../../formats/request.js";
import { isError } from "../../util/realms.js";

/** One token, or all tokens that a call has used. */
export type Secrets = string | readonly string[];

/**
 * Minimum length of tokens to redact. Shorter tokens are not redacted because they could match parts of ordinary words.
 */
export const MIN_TOKEN_LENGTH = 4;

/** Returns the tokens that are long enough to redact, longest first, because one token may be a prefix of another. */
export function redactableTokens(secrets: Secrets): string[] {
  return [secrets]
    .flat()
    .filter(({ length }) => length >= MIN_TOKEN_LENGTH)
    .sort((a, b) => b.length - a.length);
}

/** Returns the length of the longest token. */
export function longestSecretLength(secrets: Secrets): number {
  return redactableTokens(secrets)[0]?.length ?? 0;
}

/**
 * Replaces each token in `bytes` with asterisks, because a service may echo the token. Modifies and returns `bytes`.
 */
export function redactBytes(bytes: Bytes, secrets: Secrets): Bytes {
  for (const token of redactableTokens(secrets)) {
    const secret = new TextEncoder().encode(token);
    const first = secret[0] as number;
    for (let at = bytes.indexOf(first); at !== -1; at = bytes.indexOf(first, at + 1)) {
      if (secret.every((byte, i) => bytes[at + i] === byte)) bytes.fill(0x2a, at, at + secret.length);
    }
  }
  return bytes;
}

/** Returns a copy of headers in which asterisks replace each token. */
export function redactHeaders(headers: Headers, secrets: Secrets): Headers {
  const tokens = redactableTokens(secrets);
  if (tokens.length === 0) return headers;
  const clean = new Headers();
  // Tokens are compared in lower case because `Headers` converts names to lower case.
  const lower = tokens.map((token) => token.toLowerCase());
  for (const [name, value] of headers) clean.append(redactText(name, lower), redactText(value, tokens));
  return clean;
}

/** Returns text in which asterisks replace each token. */
export function redactText(text: string, secrets: Secrets): string {
  for (const token of redactableTokens(secrets)) text = text.replaceAll(token, "***");
  return text;
}

/** Maximum length of a chain of causes. */
const MAX_CAUSES = 8;

/**
 * Returns a copy of an error for use as `cause`. The copy has the error's name, message and code, with tokens redacted.
 * The original is not kept because runtimes attach requests, sockets and received data to their errors.
 */
export function cleanCause(cause: unknown, secrets: Secrets, depth = 0): unknown {
  if (!isError(cause)) return typeof cause === "string" ? redactText(cause, secrets) : undefined;
  const { code, name } = cause as { code?: unknown; name?: unknown };
  const inner = depth < MAX_CAUSES ? cleanCause(cause.cause, secrets, depth + 1) : undefined;
  const clean = new Error(
    redactText(String(cause.message), secrets),
    inner === undefined ? undefined : { cause: inner },
  );
  Object.defineProperty(clean, "name", { value: String(name), configurable: true });
  return typeof code === "string" ? Object.assign(clean, { code: redactText(code, secrets) }) : clean;
}
