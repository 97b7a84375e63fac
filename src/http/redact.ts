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
