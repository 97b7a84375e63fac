import { platform } from "#platform";

/** How a caller proved who it is: by which form, not at all, or with a token or signature that is not right. */
export type AuthForm = "token" | "bearer" | "signature" | "none" | "wrong";

/** How far a strict emulator lets a signature's date be off. */
const MAX_CLOCK_SKEW_MS = 15 * 60_000;

/**
 * Which form a request is authorised by. EAS computes the HMAC over the header values as it receives them: the official
 * SDKs send local time labelled GMT, and Java sends MD5 without leading zeros, and both are taken.
 */
export async function authorizationOf(
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
  if (!authorization.startsWith("EAS ")) return "wrong";
  const { headers } = request;
  const md5 = headers.get("content-md5") ?? "";
  const date = headers.get("date") ?? "";
  if (strict) {
    if (md5 !== (await platform.md5([body]))) return "wrong";
    if (!(Math.abs(Date.parse(date) - Date.now()) <= MAX_CLOCK_SKEW_MS)) return "wrong";
  }
  for (const signed of signedForms(resource)) {
    const text = `${request.method}\n${md5}\n${headers.get("content-type") ?? ""}\n${date}\n${signed}`;
    if (authorization === `EAS ${await platform.hmacSha1(token, text)}`) return "signature";
  }
  return "wrong";
}

/** What clients sign as the resource: with and without the query, encoded as on the wire or as the user wrote it. */
function signedForms(resource: string): Set<string> {
  // A prefix before /api/predict is the gateway's own and is not signed.
  const own = resource.slice(Math.max(0, resource.indexOf("/api/predict/")));
  const path = own.split("?", 1)[0] as string;
  const query = own.slice(path.length);
  const plain = decode(path);
  return new Set([own, path, plain + query, plain, decode(own)]);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
