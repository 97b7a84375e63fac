import { type CheckResult, ok, problem, skipped } from "./result.js";
import { isLoopback, limited } from "./steps.js";
import type { Subject } from "./subject.js";

const FIX =
  "Allow the origin on the gateway or in the service, or send the requests of pages through a relay: see docs/relay.md.";
/** Headers of a prediction that a page may send only after a preflight. */
const HEADERS = ["authorization", "content-type"];

/** Checks whether pages of an origin can call the service: sends the preflight of a browser, and one GET request. */
export async function checkCors(subject: Subject, origin: string | undefined): Promise<CheckResult> {
  if (origin === undefined) return skipped("cors", "only with --origin");
  const { url, client, signal, timeout } = subject;
  if (origin.startsWith("https:") && url.protocol === "http:" && !isLoopback(url.hostname)) {
    const seen = `pages of ${origin} cannot call an http:// address`;
    return problem("cors-mixed-content", seen, "Use an https:// address, or send the requests through a relay.");
  }
  try {
    // Browsers send a preflight without credentials. A redirect is not followed.
    const preflight = await limited(subject, (signal) =>
      fetch(url, {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": HEADERS.join(","),
        },
        redirect: "manual",
        signal,
      }),
    );
    await preflight.body?.cancel();
    const refused = refusedPreflight(preflight, origin);
    if (refused !== undefined) return refused;
    const response = await client.fetch(url.href, { headers: { origin }, signal }, { retryCount: 0, timeout });
    await response.body?.cancel();
    if (!allowsOrigin(response, origin)) {
      const seen = `the preflight succeeds, but the response to a GET (${response.status}) does not allow ${origin}`;
      return problem(
        "cors-response",
        seen,
        `Send Access-Control-Allow-Origin with every response, errors included. ${FIX}`,
      );
    }
    return ok("cors", `pages of ${origin} can call the service`);
  } catch (error) {
    signal.throwIfAborted();
    return problem("cors-failed", `the preflight failed: ${(error as Error).message}`, FIX);
  }
}

function refusedPreflight(response: Response, origin: string): CheckResult | undefined {
  const { status, headers } = response;
  if (status >= 300 && status < 400) {
    return problem("cors-redirect", `the preflight is redirected (${status}), which browsers do not follow`, FIX);
  }
  if (!response.ok) {
    const reason = status === 401 || status === 403 ? ", and browsers never send the token with it" : "";
    return problem("cors-refused", `the service refuses the preflight (${status})${reason}`, FIX);
  }
  if (!allowsOrigin(response, origin)) {
    const allowed = headers.get("access-control-allow-origin");
    const seen =
      allowed === null ? "the preflight has no Access-Control-Allow-Origin" : `the preflight allows ${allowed}`;
    return problem("cors-origin", `${seen}, not ${origin}`, FIX);
  }
  const listed = (headers.get("access-control-allow-headers") ?? "").toLowerCase().split(/\s*,\s*/);
  // The wildcard does not include authorization.
  const missing = HEADERS.filter(
    (name) => !listed.includes(name) && !(listed.includes("*") && name !== "authorization"),
  );
  if (missing.length === 0) return undefined;
  return problem(
    "cors-headers",
    `the preflight does not allow the header ${missing.join(" or ")}`,
    `Add it to Access-Control-Allow-Headers. The wildcard * does not include authorization. ${FIX}`,
  );
}

function allowsOrigin({ headers }: Response, origin: string): boolean {
  const allowed = headers.get("access-control-allow-origin");
  return allowed === "*" || allowed === origin;
}
