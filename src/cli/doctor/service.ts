import type { Finding } from "eas-prediction";
import { checkTlsRequired } from "./connection.js";
import { type CheckResult, ok, problem, skipped, warning } from "./result.js";
import { parseUrl } from "./steps.js";
import type { Subject } from "./subject.js";

/** Difference between the clocks above which a warning is given, in milliseconds. */
const MAX_CLOCK_SKEW_MS = 60_000;

/** The result of the first request to the service. */
export interface ServiceResult {
  readonly results: readonly CheckResult[];
  /** Whether the service itself responds, so that further requests are useful. */
  readonly isReachable: boolean;
}

/** Sends the first GET request. Checks the response, redirects and the clock. */
export async function checkService(subject: Subject): Promise<ServiceResult> {
  const { client, url, signal, timeout } = subject;
  const sentAt = Date.now();
  let response: Response;
  try {
    response = await client.fetch(url.href, { signal }, { retryCount: 0, timeout });
    await response.body?.cancel();
  } catch {
    signal.throwIfAborted();
    const required = await checkTlsRequired(subject);
    return { results: [required ?? (await diagnosed(subject))], isReachable: false };
  }
  const clock = checkClock(response.headers.get("date"), sentAt, Date.now());
  const { status } = response;
  if (status >= 300 && status < 400 && status !== 304) {
    return { results: [redirected(response, url), clock], isReachable: false };
  }
  const result = await diagnosed(subject);
  return { results: [result, clock], isReachable: result.severity === "ok" };
}

function redirected({ status, headers }: Response, from: URL): CheckResult {
  const location = headers.get("location");
  const target = location === null ? undefined : parseUrl(location, from);
  // The query of the target can contain credentials.
  const to = target ? target.origin + target.pathname : "an unknown address";
  return problem(
    "service-redirects",
    `the service redirects to ${to} (${status})`,
    "Clients do not follow redirects, and nothing was sent to the target. If you trust the target, use it as the address.",
  );
}

/** Advice for each finding of `client.diagnose()`. */
const FIXES: Readonly<Record<Exclude<Finding, "ok" | "token">, string>> = {
  path: "Use the address and the name of the service that the console shows.",
  "not-ready": "Start the service in the console, or wait until it is ready. client.ready() waits for a cold start.",
  "mixed-content": "Use an https:// address.",
  cors: "Allow the origin of the page on the gateway, or use a relay.",
  network: "Check whether a proxy, a firewall or the server itself closes the connection.",
  timeout: "Increase --timeout. A service that is scaled to zero can hold its first request for several minutes.",
  service: "Read the log of the service in the console.",
  settings: "Correct the options.",
};

async function diagnosed({ client, signal, timeout }: Subject): Promise<CheckResult> {
  const { ok: isOk, finding, message, status } = await client.diagnose({ signal, timeout });
  signal.throwIfAborted();
  if (isOk || finding === "ok") return ok("service", message);
  // The check of the forms of authorization explains a refused token.
  if (finding === "token") return ok("service", `the service responds (${status})`);
  return problem(`service-${finding === "service" ? "error" : finding}`, message, FIXES[finding]);
}

function checkClock(date: string | null, sentAt: number, receivedAt: number): CheckResult {
  const theirs = date === null ? Number.NaN : Date.parse(date);
  if (Number.isNaN(theirs)) return skipped("clock", "the response has no Date header");
  const skew = theirs - (sentAt + receivedAt) / 2;
  const uncertainty = 1_000 + (receivedAt - sentAt) / 2;
  if (Math.abs(skew) - uncertainty <= MAX_CLOCK_SKEW_MS) return ok("clock", "the clocks agree");
  const direction = skew > 0 ? "behind" : "ahead of";
  return warning(
    "clock-skew",
    `the clock of this machine is ${durationText(Math.abs(skew))} ${direction} the clock of the service`,
    "Synchronize the clock. Signatures contain the time, and certificates and AccessKey requests are checked against it.",
  );
}

function durationText(milliseconds: number): string {
  const minutes = Math.round(milliseconds / 60_000);
  if (minutes < 120) return `${minutes} minutes`;
  return minutes < 2_880 ? `${Math.round(minutes / 60)} hours` : `${Math.round(minutes / 1_440)} days`;
}
