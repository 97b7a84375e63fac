import type { Auth, Token } from "../config/options.js";
import { checkTokenText } from "../config/validate.js";
import { EasUnsupportedError } from "../errors.js";
import type { HeaderPair, Platform, Signer } from "../platform/contract.js";
import { argumentTypeError } from "../util/argument-errors.js";
import type { CallPlan } from "./call-plan.js";
import type { Secrets } from "./failures/redact.js";

/** How this request is to be authorised: `"auto"` is decided here. */
export function resolveAuth(
  auth: Auth,
  platform: Platform,
  request: { origin: string; method: string; isPredict: boolean },
): Exclude<Auth, "auto"> {
  if (auth === "signature" && platform.signer === undefined) {
    throw new EasUnsupportedError(
      'auth "signature" is not available in browsers: the signature covers the Date header, which pages cannot set; use "token", or a relay that keeps the token on a server',
    );
  }
  if (auth !== "auto") return auth;
  const signs =
    platform.signer && request.isPredict && request.method === "POST" && !request.origin.startsWith("https:");
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
      'the token has a control character or one outside Latin-1, so it cannot be a header: only auth "signature" can use it',
    );
  }
  return ["authorization", auth === "bearer" ? `Bearer ${token}` : token];
}

/** The headers that prove who sends. */
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

/** Origins for which the check below was done. One check per process is enough. */
const checkedOrigins = /* @__PURE__ */ new Set<string>();

/** Warns once for each public host to which a token is about to be sent over plain http. */
export function warnIfPlain(plan: CallPlan): void {
  const { origin } = plan.target;
  if (origin.startsWith("https:") || checkedOrigins.has(origin)) return;
  checkedOrigins.add(origin);
  // A logger may throw.
  import("./lazy.js").then(({ warnOfPlainToken }) => warnOfPlainToken(plan)).catch(() => {});
}

/** Tokens that are remembered of each function: a service may echo one of an earlier attempt. */
const REMEMBERED = 8;
const remembered = /* @__PURE__ */ new WeakMap<Exclude<Token, string>, string[]>();

/** What errors must not show: the token of the attempt, and the tokens that the same function has returned lately. */
export function secretsOf(source: Token | undefined, token: string): Secrets {
  if (typeof source !== "function") return (source ?? token).trim();
  const known = remembered.get(source) ?? [];
  const current = token.trim();
  if (!known.includes(current)) remembered.set(source, [current, ...known].slice(0, REMEMBERED));
  return remembered.get(source) as string[];
}

/** Returns the token, or asks the function that the caller gave for it. */
export function currentToken(token: Token | undefined): string | Promise<string> {
  if (typeof token !== "function") return token ?? "";
  const given = token();
  return typeof given === "string" ? checkTokenText(given) : Promise.resolve(given).then(checkTokenText);
}
