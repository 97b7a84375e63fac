import { platform } from "#platform";
import { decode } from "./request-target.js";

/**
 * The form of authentication that a caller used: `"none"` if there were no credentials, `"wrong"` if they were
 * rejected.
 */
export type AuthForm = "token" | "bearer" | "signature" | "none" | "wrong";

/** Maximum difference between a signature's date and the current time if `strictSignatures` is set. */
const MAX_CLOCK_SKEW_MS = 15 * 60_000;

/**
 * Returns how a request is authorized. Like EAS, the emulator computes the HMAC over the header values as received. It
 * therefore accepts the official SDKs' signatures, although these SDKs send local time labeled as GMT, and the Java SDK
 * omits the MD5's leading zeros.
 */
export async function verifyAuthorization(
  request: Request,
  body: Uint8Array,
  resource: string,
  token: string,
  strict: boolean,
): Promise<AuthForm> {
  const authorization = request.headers.get("authorization") ?? "";
  // The official Python and Go clients send an empty header when they have no token.
  if (authorization === "") return "none";
  if (authorization === token) return "token";
  if (authorization === `Bearer ${token}`) return "bearer";
  // WebCrypto does not accept an empty key, and no client signs without a token.
  if (!authorization.startsWith("EAS ") || token === "") return "wrong";
  const { headers } = request;
  const md5 = headers.get("content-md5") ?? "";
  const date = headers.get("date") ?? "";
  if (strict) {
    if (md5 !== (await platform.md5([body]))) return "wrong";
    if (!(Math.abs(Date.parse(date) - Date.now()) <= MAX_CLOCK_SKEW_MS)) return "wrong";
  }
  for (const signed of signedResources(resource)) {
    const text = `${request.method}\n${md5}\n${headers.get("content-type") ?? ""}\n${date}\n${signed}`;
    if (authorization === `EAS ${await platform.hmacSha1(token, text)}`) return "signature";
  }
  return "wrong";
}

/** Returns the resource strings that clients may sign: with or without the query, percent-encoded or decoded. */
function signedResources(resource: string): Set<string> {
  // The gateway itself adds any prefix before /api/predict, so clients do not sign the prefix.
  const signedPart = resource.slice(Math.max(0, resource.indexOf("/api/predict/")));
  const path = signedPart.split("?", 1)[0] as string;
  const query = signedPart.slice(path.length);
  const plain = decode(path);
  return new Set([signedPart, path, plain + query, plain, decode(signedPart)]);
}
