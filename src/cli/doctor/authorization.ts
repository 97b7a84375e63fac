import { isEasError, type PredictClientOptions } from "eas-prediction";
import { type CheckResult, ok, problem, skipped, warning } from "./result.js";
import { limited } from "./steps.js";
import type { Subject } from "./subject.js";

/** Forms of authorization, and the client options that select them. */
const FORMS = {
  token: "the raw token",
  bearer: "Bearer <token>",
  signature: "a signature",
} as const;
type Form = keyof typeof FORMS;

/** The response of the service to one form. */
interface Attempt {
  readonly isAccepted: boolean;
  /** Undefined if the status is a success, or if there was no response. */
  readonly status?: number | undefined;
}

/** Checks which forms of authorization the service accepts, with one GET request for each form. */
export async function checkAuthorization(subject: Subject): Promise<CheckResult> {
  const none = await attemptWithoutToken(subject);
  if (subject.token === undefined) return withoutToken(none);
  const attempts: Record<Form, Attempt> = {
    token: await attempt(subject, { auth: "token" }),
    bearer: await attempt(subject, { auth: "bearer" }),
    signature: await attempt(subject, { auth: "signature" }),
  };
  const forms = Object.keys(FORMS) as Form[];
  const accepted = forms.filter((form) => attempts[form].isAccepted);
  if (accepted.length === 0) return allRefused(subject.token, attempts.token.status);
  const [first = "token"] = accepted;
  const summary = `accepted: ${accepted.map((form) => FORMS[form]).join(", ")}`;
  if (none.status !== undefined && none.status < 400) {
    return warning(
      "auth-not-required",
      "the service accepts a GET request without a token",
      "If the service must not be public, enable authentication in the console.",
    );
  }
  if (first !== "token") {
    return problem(
      "auth-form",
      `the service refuses the raw token; ${summary}`,
      `Create the client with auth: "${first}".`,
    );
  }
  if (!attempts.signature.isAccepted && isSignedByDefault(subject)) {
    return warning(
      "auth-signature",
      `the service refuses a signature; ${summary}`,
      'Clients sign POST requests to this address by default. If they fail with 401, create the client with auth: "token".',
    );
  }
  return ok("auth", summary);
}

function withoutToken({ isAccepted, status }: Attempt): CheckResult {
  if (isAccepted) return ok("auth", "the service does not require a token");
  return problem(
    "auth-missing",
    `the service requires a token (${status}), and none was given`,
    "Set EAS_TOKEN, or pass --token-file. The console shows the token of the service.",
  );
}

function allRefused(token: string, status: number | undefined): CheckResult {
  if (status === undefined) return skipped("auth", "the service did not respond");
  if (status === 403) {
    return problem(
      "auth-forbidden",
      "the gateway refuses this caller in every form of authorization (403)",
      "Check the access lists of the gateway, and whether the token belongs to this service.",
    );
  }
  const isQuoted = /^["']/.test(token);
  return problem(
    "auth-refused",
    `the service refuses the token in every form: raw, Bearer and signature (${status})`,
    isQuoted
      ? "Remove the quotation marks from the token."
      : "Copy the token of this service from the console again. Each service has its own token.",
  );
}

/** Whether a client with the default options signs its predictions: over http, to the gateway. */
function isSignedByDefault({ url }: Subject): boolean {
  return url.protocol === "http:" && url.pathname.includes("/api/predict/");
}

/** Sends the request without the client, which may read a token from the environment. */
async function attemptWithoutToken(subject: Subject): Promise<Attempt> {
  const { url, signal } = subject;
  try {
    const { status, body } = await limited(subject, (signal) => fetch(url, { redirect: "manual", signal }));
    await body?.cancel();
    return { isAccepted: status !== 401 && status !== 403, status };
  } catch {
    signal.throwIfAborted();
    return { isAccepted: false };
  }
}

async function attempt(subject: Subject, options: PredictClientOptions): Promise<Attempt> {
  const { signal } = subject;
  try {
    await subject.with(options, (client) => client.json(null, { method: "GET", signal }));
    return { isAccepted: true };
  } catch (error) {
    signal.throwIfAborted();
    if (!isEasError(error)) return { isAccepted: false };
    // The body of a successful response need not be JSON.
    if (error.code === "ERR_EAS_DECODE") return { isAccepted: true };
    if (error.code !== "ERR_EAS_HTTP") return { isAccepted: false };
    const { status } = error;
    return { isAccepted: status !== 401 && status !== 403, status };
  }
}
