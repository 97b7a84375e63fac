import type { IncomingMessage } from "node:http";
import { hostCheck } from "../gateway/host-check.js";
import { CONSOLE_PATH, TOKEN_HEADER } from "./protocol.js";

/** The console accepts loopback names only, even if the emulator accepts other names. */
const isLoopback = hostCheck();

/** The parts of a request that decide whether it may use the console. */
export type ConsoleRequest = Pick<IncomingMessage, "method" | "url" | "headers">;

/** Whether a request belongs to the console: a browser that opens `/`, and every request below `CONSOLE_PATH`. */
export function isConsoleRequest({ method, url = "", headers }: ConsoleRequest): boolean {
  if (url.startsWith(CONSOLE_PATH)) return true;
  // Other clients do not ask for HTML, so they still reach a queue at the root path.
  const isPage = method === "GET" && /^\/(\?|$)/.test(url) && headers.accept?.includes("text/html") === true;
  return isPage && headers.host !== undefined && isLoopback(headers.host);
}

/**
 * Returns why a request must not use the console's data; undefined if it may. The checks are independent of each other,
 * and a page of another origin fails at least two of them.
 */
export function refusalOf({ headers }: ConsoleRequest, token: string): string | undefined {
  const { host, origin } = headers;
  // Against DNS rebinding.
  if (host === undefined || !isLoopback(host)) return "The console accepts loopback host names only.";
  if (origin !== undefined && origin !== `http://${host}`) return "The console does not accept other origins.";
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin") return "The console does not accept requests from other sites.";
  if (!isEqual(headers[TOKEN_HEADER], token)) return "The token of the console is missing or wrong.";
  return undefined;
}

/** Compares in a time that depends only on the length of the expected text. */
function isEqual(actual: string | string[] | undefined, expected: string): boolean {
  if (typeof actual !== "string") return false;
  let difference = actual.length ^ expected.length;
  for (let i = 0; i < expected.length; i++) difference |= (actual.charCodeAt(i) || 0) ^ expected.charCodeAt(i);
  return difference === 0;
}

/** Headers of every response of the console. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** Returns the policy of the page: its own script and style, and requests to its own origin. */
export function contentSecurityPolicy(hashes: { readonly script: string; readonly style: string }): string {
  return [
    "default-src 'none'",
    `script-src '${hashes.script}'`,
    `style-src '${hashes.style}'`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    // Data of requests cannot become markup.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
}
