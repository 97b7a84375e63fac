import { argumentTypeError, EasUnsupportedError } from "../errors.js";
import type { HeaderPair, Platform } from "../platform/platform.js";
import type { CallPlan } from "./call-plan.js";
import type { Auth, Token } from "./options.js";

/** How this request is to be authorised: `"auto"` is decided here. */
export function resolveAuth(
  auth: Auth,
  platform: Platform,
  request: { origin: string; method: string; isPredict: boolean },
): Exclude<Auth, "auto"> {
  if (auth === "signature" && !platform.canSetDate) {
    throw new EasUnsupportedError(
      'auth "signature" cannot work in this runtime: the signature covers the Date header, which a browser does not let a page set; use "token", or better a relay that keeps the token on a server',
    );
  }
  if (auth !== "auto") return auth;
  const signs =
    platform.canSetDate && request.isPredict && request.method === "POST" && request.origin.startsWith("http:");
  return signs ? "signature" : "token";
}

/** All headers of a call whose authorization is the same in all attempts: no token, or a fixed one that is sent as it is. */
export function fixedHeaders(
  headers: readonly HeaderPair[],
  auth: Exclude<Auth, "auto">,
  token: Token | undefined,
): readonly HeaderPair[] | undefined {
  if (token === undefined || token === "") return headers;
  return typeof token === "string" && auth !== "signature" ? [...headers, tokenHeader(auth, token)] : undefined;
}

function tokenHeader(auth: "token" | "bearer", token: string): HeaderPair {
  if (!/^[\x20-\x7e\x80-\xff]*$/.test(token)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_TOKEN",
      'the token has a line break, another control character or one outside Latin-1, so it cannot be a header value; only auth "signature" can use such a token',
    );
  }
  return ["authorization", auth === "bearer" ? `Bearer ${token}` : token];
}

/** The headers that prove who sends. A signature needs the body's MD5. */
export function authorize(
  { auth, method, contentType, resource }: CallPlan,
  token: string,
  platform: Platform,
  bodyMd5: string | undefined,
): HeaderPair[] | Promise<HeaderPair[]> {
  if (auth !== "signature") {
    return [tokenHeader(auth, token)];
  }
  const date = httpDate();
  const headers = (hmac: string): HeaderPair[] => [
    // Hexadecimal, against RFC 1864: EAS has it so (github.com/pai-eas/eas-python-sdk, predict_client.py).
    ["content-md5", bodyMd5 as string],
    ["date", date],
    ["authorization", `EAS ${hmac}`],
  ];
  const hmac = platform.hmacSha1(token, `${method}\n${bodyMd5}\n${contentType}\n${date}\n${resource}`);
  return typeof hmac === "string" ? headers(hmac) : hmac.then(headers);
}

/** Asks for the token, when it is a function. */
export function currentToken(token: Token | undefined): string | Promise<string> {
  if (typeof token !== "function") return token ?? "";
  const given = token();
  return typeof given === "string" ? given : Promise.resolve(given).then(checkGiven);
}

function checkGiven(token: unknown): string {
  if (typeof token !== "string") {
    throw argumentTypeError(
      "ERR_EAS_ARG_TOKEN",
      `the token function gave a value of type ${typeof token}: it must give a string`,
    );
  }
  return token;
}

let lastSecond = -1;
let lastDate = "";

/** Now, as HTTP writes it, in true GMT: the official Python and Go SDKs label local time as GMT. */
function httpDate(): string {
  const now = Date.now();
  const second = Math.floor(now / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastDate = new Date(now).toUTCString();
  }
  return lastDate;
}
