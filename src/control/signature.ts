import type { Credentials } from "./credentials.js";

/** The name of the signature algorithm. */
const ALGORITHM = "ACS3-HMAC-SHA256";
/** SHA-256 of an empty body, in hexadecimal digits. */
const EMPTY_BODY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** A request without a body: the parts that the signature covers. */
export interface UnsignedRequest {
  readonly method: string;
  readonly host: string;
  /** The path, already percent-encoded. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** The name of the API operation. */
  readonly action: string;
  /** The version of the API. */
  readonly version: string;
  readonly date: Date;
  /** A value that is unique to this request. */
  readonly nonce: string;
}

/**
 * Returns a request's headers, with the signature in `Authorization`. The algorithm is ACS3-HMAC-SHA256, which Alibaba
 * Cloud documents under "Request syntax and signature method V3".
 */
export async function signedHeaders(
  { method, host, path, query, action, version, date, nonce }: UnsignedRequest,
  { accessKeyId, accessKeySecret, securityToken }: Credentials,
): Promise<Record<string, string>> {
  const headers: Record<string, string> = {
    host,
    "x-acs-action": action,
    "x-acs-content-sha256": EMPTY_BODY_SHA256,
    "x-acs-date": date.toISOString().replace(/\.\d+Z$/, "Z"),
    ...(securityToken !== undefined && { "x-acs-security-token": securityToken }),
    "x-acs-signature-nonce": nonce,
    "x-acs-version": version,
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    method,
    path,
    canonicalQuery(query),
    ...names.map((name) => `${name}:${(headers[name] as string).trim()}`),
    "",
    names.join(";"),
    EMPTY_BODY_SHA256,
  ].join("\n");
  const signature = await hmacSha256(accessKeySecret, `${ALGORITHM}\n${await sha256(canonical)}`);
  headers.authorization = `${ALGORITHM} Credential=${accessKeyId},SignedHeaders=${names.join(";")},Signature=${signature}`;
  return headers;
}

/** Returns the query in the form that is signed: sorted by name, and percent-encoded according to RFC 3986. */
export function canonicalQuery(query: Readonly<Record<string, string>>): string {
  return Object.keys(query)
    .sort()
    .map((name) => `${encodePart(name)}=${encodePart(query[name] as string)}`)
    .join("&");
}

/** Percent-encodes a part of a path or query. Unlike `encodeURIComponent`, also encodes `!`, `'`, `(`, `)` and `*`. */
export function encodePart(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

async function sha256(text: string): Promise<string> {
  return hex(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

async function hmacSha256(key: string, text: string): Promise<string> {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", encoder.encode(key), algorithm, false, ["sign"]);
  return hex(await crypto.subtle.sign("HMAC", imported, encoder.encode(text)));
}

function hex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
