import { argumentTypeError, EasUnsupportedError } from "../errors.js";
import type { HeaderPair, Platform } from "../platform/platform.js";
import type { Auth, Token } from "./options.js";

const encoder: TextEncoder = /* @__PURE__ */ new TextEncoder();

/** What a signature covers beside the body. */
export interface SignedText {
  readonly method: string;
  readonly contentType: string;
  /** Path and query before percent-encoding, beginning with `/api/predict/`. */
  readonly resource: string;
}

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

/** The headers that prove who sends: none without a token. A signature needs the body's MD5. */
export function authorize(
  auth: Exclude<Auth, "auto">,
  token: string,
  platform: Platform,
  text: SignedText,
  bodyMd5: string | undefined,
): readonly HeaderPair[] | Promise<readonly HeaderPair[]> {
  if (token === "") return [];
  if (auth !== "signature") {
    checkTokenText(token);
    return [["authorization", auth === "bearer" ? `Bearer ${token}` : token]];
  }
  const date = httpDate();
  const hmac = platform.hmacSha1(
    encoder.encode(token),
    encoder.encode(`${text.method}\n${bodyMd5}\n${text.contentType}\n${date}\n${text.resource}`),
  );
  const headers = (mac: Uint8Array): readonly HeaderPair[] => [
    // Hexadecimal, against RFC 1864: EAS has it so (github.com/pai-eas/eas-python-sdk, predict_client.py).
    ["content-md5", bodyMd5 as string],
    ["date", date],
    ["authorization", `EAS ${btoa(String.fromCharCode(...mac))}`],
  ];
  return hmac instanceof Uint8Array ? headers(hmac) : hmac.then(headers);
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

function checkTokenText(token: string): void {
  if (!/^[\x20-\x7e\x80-\xff]*$/.test(token)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_TOKEN",
      'the token has a line break, another control character or one outside Latin-1, so it cannot be a header value; only auth "signature" can use such a token',
    );
  }
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
