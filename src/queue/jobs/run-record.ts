import { argumentTypeError, show } from "../../util/argument-errors.js";
import type { DataFrameJson } from "../frame.js";
import type { ResultFrame } from "./job-context.js";
import type { InferenceJobJson } from "./job-json.js";

/** The value that `run` stores. */
export interface RunRecord {
  readonly service: string;
  readonly requestId: string;
  /** Time of the submission in milliseconds since 1970. */
  readonly submittedAt: number;
  /** The handle of the job, once the queue is known to have accepted it. */
  readonly job?: InferenceJobJson;
  /** The result, once `onResult` has received it. */
  readonly result?: DataFrameJson;
}

/** Parses a stored value. Throws a `TypeError` for a damaged value. */
export function readRecord(text: string, key: string): RunRecord {
  const record = parse(text);
  if (record === undefined) {
    throw argumentTypeError(
      "ERR_EAS_ARG_REQUEST",
      `the store has a value for the key ${show(key)} that is not a handle of run(): it is damaged or belongs to another program. Nothing was submitted. Restore the value, or delete the key to submit a new job`,
    );
  }
  return record;
}

function parse(text: string): RunRecord | undefined {
  try {
    const { service, requestId, submittedAt, job, result } = JSON.parse(text) as RunRecord;
    const isValid =
      [service, requestId].every((name) => typeof name === "string" && name !== "") &&
      Number.isFinite(submittedAt) &&
      (job === undefined || (typeof job.tag === "string" && job.tag !== "" && /^\d{1,20}$/.test(job.index))) &&
      (result === undefined || frameOf(result).index >= 0n);
    return isValid
      ? { service, requestId, submittedAt, ...(job !== undefined && { job }), ...(result !== undefined && { result }) }
      : undefined;
  } catch {
    return undefined;
  }
}

/** Returns a stored result. */
export function frameOf(stored: DataFrameJson): ResultFrame {
  const { index, tags, data } = stored;
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  return {
    index: BigInt(index),
    tags,
    requestId: tags.requestId,
    data: bytes,
    toJSON: () => stored,
    text: () => new TextDecoder().decode(bytes),
  };
}
