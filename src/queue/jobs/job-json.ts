import { argumentTypeError, show } from "../../util/argument-errors.js";
import { checkIndex } from "../values.js";
import type { JobIdentity } from "./job-context.js";

/** The JSON form of a job; see `InferenceJob.toJSON`. */
export interface InferenceJobJson {
  /** The name of the service. Undefined in handles that contain no name. */
  readonly service?: string | undefined;
  /** Decimal digits, because JSON numbers cannot represent the index exactly. */
  readonly index: string;
  readonly requestId?: string | undefined;
  readonly tag: string;
}

/**
 * Returns the identity in the JSON form of a job. Throws a `TypeError` for an invalid form and for a job of another
 * service.
 */
export function readJob(job: InferenceJobJson, serviceName: string): JobIdentity {
  const { service, index, requestId, tag } = job ?? {};
  if (!isName(tag) || !(requestId === undefined || isName(requestId)) || !(service === undefined || isName(service))) {
    throw argumentTypeError(
      "ERR_EAS_ARG_REQUEST",
      "job must be the result of a job's toJSON(): { service, index, requestId, tag }",
    );
  }
  if (service !== undefined && service !== serviceName) {
    throw argumentTypeError(
      "ERR_EAS_ARG_REQUEST",
      `job belongs to the service ${show(service)}, and this client calls ${show(serviceName)}. Resume the job with a client of its own service`,
    );
  }
  return { index: checkIndex("index", index), requestId, tag };
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
