import type { EasModelError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import type { StandardSchema } from "../../predict/json/standard-schema.js";
import type { DataFrame } from "../frame.js";
import type { GetOptions, SearchResult } from "../operations.js";
import type { QueueTags } from "../values.js";

/** The tag that identifies the result of a job. The service copies the tags of a request to its result. */
export const JOB_TAG = "easJob";

/** The identity of a submitted request. */
export interface JobIdentity {
  readonly index: bigint;
  readonly requestId: string | undefined;
  readonly tag: string;
}

/** The format of a result. Without a format, the result is a `DataFrame`. */
export interface JobFormat {
  /** Parses the body of the result, as the request object does. */
  readonly parse?: ((body: Bytes) => unknown) | undefined;
  /** Validates the result, which is parsed as JSON. */
  readonly schema?: StandardSchema | undefined;
}

/** Selects the result of a job in the output queue: by the request id, or by the tag if the id is unknown. */
export type ResultFilter = { readonly requestId: string } | { readonly tags: QueueTags };

/** Returns the filter for the result of a job. */
export function filterOf({ requestId, tag }: Pick<JobIdentity, "requestId" | "tag">): ResultFilter {
  return requestId === undefined ? { tags: { [JOB_TAG]: tag } } : { requestId };
}

/** The part of a received or stored result that is read. */
export type ResultFrame = Pick<DataFrame, "index" | "data" | "tags" | "requestId" | "text" | "toJSON">;

/** The operations of `QueueClient` that jobs use. The modules that jobs load on first use cannot import that class. */
export interface JobQueue {
  readonly maxConnectionCount: number;
  get(options: GetOptions): Promise<DataFrame[]>;
  search(index: bigint, call: { readonly signal: AbortSignal | undefined }): Promise<SearchResult | undefined>;
  delete(index: bigint): Promise<void>;
  warn(message: string): void;
}

/** A submitted request, with the queues of its service. */
export interface JobContext extends JobIdentity {
  readonly service: string;
  readonly input: JobQueue;
  readonly sink: JobQueue;
  /** Fires when the client is closed. */
  readonly closed: AbortSignal;
  /** Selects the result in the output queue. */
  readonly filter: ResultFilter;
  readonly format: JobFormat;
  /** The class of errors of a model. The code that is loaded on first use does not import it; see `RunTools`. */
  readonly EasModelError: typeof EasModelError;
}
