import { checkAddress, checkProxy } from "./address.js";
import { checkAuthorization } from "./authorization.js";
import { checkBodyLimit, checkContentType, type Sample } from "./bodies.js";
import { checkDns, checkTcp, checkTls } from "./connection.js";
import { checkCors } from "./cors.js";
import { type CheckResult, printable } from "./result.js";
import { checkService } from "./service.js";
import { checkStream, type StreamSample } from "./stream.js";
import type { Subject } from "./subject.js";

/** Checks that are performed only if the caller asks for them. */
export interface ExtraChecks {
  /** Origin of the pages for the check of CORS. */
  readonly origin?: string | undefined;
  /** The body for the check of the content type. */
  readonly sample?: Sample | undefined;
  /** Returns the request for the check of streams. It may ask the service for a model. */
  readonly stream?: (() => Promise<StreamSample>) | undefined;
  /** Maximum size in megabytes for the check of the body limit. */
  readonly bodyLimit?: number | undefined;
  /** Path within the service for the bodies of that check. */
  readonly path: string;
}

/**
 * Performs the checks, from the address to the service. Stops at the first check without which the following checks cannot
 * succeed. `onStep` receives the name of each step.
 */
export async function examine(
  subject: Subject,
  extra: ExtraChecks,
  onStep: (step: string) => void,
): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  const add = (...more: CheckResult[]) => results.push(...more.map((result) => printable(result, subject.token)));
  const hasFailed = () => results.some(({ severity }) => severity === "problem");

  add(checkAddress(subject), checkProxy(subject));
  onStep("resolving the host");
  add(await checkDns(subject));
  if (hasFailed()) return results;
  onStep("connecting");
  add(await checkTcp(subject));
  if (hasFailed()) return results;
  add(...(await checkTls(subject)));
  if (hasFailed()) return results;
  onStep("calling the service");
  const service = await checkService(subject);
  add(...service.results);
  if (!service.isReachable) return results;
  onStep("checking the token");
  add(await checkAuthorization(subject));
  onStep("checking the preflight of pages");
  add(await checkCors(subject, extra.origin));
  onStep("sending the data");
  add(await checkContentType(subject, extra.sample));
  onStep("reading a stream");
  add(await checkStreamOf(subject, extra));
  const onSize = (megabytes: number) => onStep(`sending ${megabytes} MB`);
  add(await checkBodyLimit(subject, extra.bodyLimit, extra.path, onSize));
  return results;
}

async function checkStreamOf(subject: Subject, { stream }: ExtraChecks): Promise<CheckResult> {
  let sample: StreamSample | undefined;
  try {
    sample = await stream?.();
  } catch (error) {
    subject.signal.throwIfAborted();
    return {
      id: "stream-no-model",
      severity: "problem",
      seen: (error as Error).message,
      fix: "Name the model with --model, or pass the whole request with --data.",
    };
  }
  return checkStream(subject, sample);
}
