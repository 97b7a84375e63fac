import type { Auth, Token } from "../config/options.js";
import { checkTokenText } from "../config/validate.js";
import { EasUnsupportedError } from "../errors.js";
import type { HeaderPair, Platform, Signer } from "../platform/contract.js";
import { argumentTypeError } from "../util/argument-errors.js";
import type { CallPlan } from "./call-plan.js";
import type { Secrets } from "./failures/redact.js";

/**
 * Resolves `"auto"` to the scheme for one request. Throws `EasUnsupportedError` if the runtime or the request does
 * not support signatures.
 */
export function resolveAuth(
  auth: Auth,
  platform: Platform,
  request: { origin: string; method: string; isPredict: boolean },
): Exclude<Auth, "auto"> {
  if (auth === "signature" && platform.signer === undefined) {
    throw new EasUnsupportedError(
      'auth "signature" does not work in browsers: the signature covers the Date header, which pages cannot set. Use "token" or a relay',
    );
  }
  if (auth !== "auto") return auth;
  const signs =
    platform.signer && request.isPredict && request.method === "POST" && !request.origin.startsWith("https:");
  return signs ? "signature" : "token";
}

/**
 * Returns the complete headers of a call if they do not change between attempts. This is the case without a token, or
 * with a constant token and no signature.
 */
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
      'token contains a control character or a character outside Latin-1, which headers cannot contain: only auth "signature" supports it',
    );
  }
  return ["authorization", auth === "bearer" ? `Bearer ${token}` : token];
}

/** Returns the headers that authenticate one attempt. `signer` is required for the scheme `"signature"`. */
export function authorize(
  plan: CallPlan,
  token: string,
  signer: Signer | undefined,
): HeaderPair[] | Promise<HeaderPair[]> {
  const { auth } = plan;
  if (auth === "signature") return (signer as Signer)(plan, token);
  warnIfPlain(plan);
  return [tokenHeader(auth, token)];
}

/** Origins that `warnIfPlain` has checked. Each origin is checked once per process. */
const checkedOrigins = /* @__PURE__ */ new Set<string>();

/** Warns, once for each public host, before a token is sent to that host over plain http. */
export function warnIfPlain(plan: CallPlan): void {
  const { origin } = plan.target;
  if (origin.startsWith("https:") || checkedOrigins.has(origin)) return;
  checkedOrigins.add(origin);
  // The import may fail offline, and a logger may throw.
  import("./lazy.js").then(({ warnOfPlainToken }) => warnOfPlainToken(plan)).catch(() => {});
}

/**
 * Number of recent tokens to remember for each token function, because a service may echo an earlier attempt's token.
 */
const REMEMBERED = 8;
const remembered = /* @__PURE__ */ new WeakMap<Exclude<Token, string>, string[]>();

/**
 * Returns the tokens to redact in errors: the attempt's token and the tokens that the same function returned recently.
 */
export function secretsOf(source: Token | undefined, token: string): Secrets {
  if (typeof source !== "function") return (source ?? token).trim();
  const known = remembered.get(source) ?? [];
  const current = token.trim();
  if (!known.includes(current)) remembered.set(source, [current, ...known].slice(0, REMEMBERED));
  return remembered.get(source) as string[];
}

/** Returns the token. If the token is a function, calls it and returns the result. */
export function currentToken(token: Token | undefined): string | Promise<string> {
  if (typeof token !== "function") return token ?? "";
  const given = token();
  return typeof given === "string" ? checkTokenText(given) : Promise.resolve(given).then(checkTokenText);
}
