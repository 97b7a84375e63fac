import { buildTemplate, type CallTemplate, withCallOptions, withHeaders } from "../call/build-plan.js";
import type { CallBody, CallPlan, CallResult } from "../call/call-plan.js";
import { ClientCore } from "../call/client-core.js";
import type { ConnectionPool } from "../call/connections/connection-pool.js";
import { runCall } from "../call/run-call.js";
import { type CallOptions, MAX_TIMER_MS } from "../config/options.js";
import type { CallKind } from "../config/retry.js";
import type { Settings } from "../config/settings.js";
import { joinPath, suffixOf } from "../config/url.js";
import { endpointOf } from "../endpoint/parse-endpoint.js";
import type { Bytes } from "../formats/request.js";
import type { HeaderPair, Transport } from "../platform/contract.js";
import { argumentTypeError, show, showUrl } from "../util/argument-errors.js";
import { changeNames, type OptionNames } from "../util/option-names.js";
import { inBatches } from "./commit-batch.js";
import { checkIdentity, checkOperationOptions } from "./options.js";
import { checkIndexes, type FrameIndex } from "./values.js";

/** Options for one call to a queue. They override the client's options. */
export type QueueCallOptions = Pick<
  CallOptions,
  "headers" | "timeout" | "totalTimeout" | "retryCount" | "retryOn" | "signal"
>;

export const QUEUE_CALL_OPTIONS: OptionNames<QueueCallOptions> = {
  headers: 1,
  timeout: 1,
  totalTimeout: 1,
  retryCount: 1,
  retryOn: 1,
  signal: 1,
};

/** Names of the options that an operation can pass to its call: those in `QueueCallOptions` and `onUploadProgress`. */
const PLAN_OPTIONS = /* @__PURE__ */ changeNames(QUEUE_CALL_OPTIONS, [], { onUploadProgress: 1 });

/** Names and values of query parameters, in order. */
export type QueryPairs = readonly (readonly [name: string, value: string])[];

/** Headers that identify the consumer, as in the official Python and Java SDKs (queue_client.py). */
const UID = "x-eas-queueservice-redis-uid";
const GID = "x-eas-queueservice-redis-gid";

/** One operation on a queue. */
export interface QueueOperation<R> {
  readonly kind: CallKind;
  readonly method: CallPlan["method"];
  readonly query: QueryPairs;
  /** Path within the queue. */
  readonly path?: string | undefined;
  headers?: readonly HeaderPair[] | undefined;
  readonly body?: Bytes | undefined;
  /**
   * Time for which the service may delay the response, in milliseconds. Added to the timeouts for the attempt and the
   * call.
   */
  readonly longPoll?: number | undefined;
  readonly call?: QueueCallOptions | undefined;
  readonly read: (result: CallResult, transport: Transport) => R;
}

/** Sends the operation for one batch of items by calling `send` with the indexes that still need it. */
export type Through = (batch: readonly bigint[], send: (rest: readonly bigint[]) => Promise<void>) => Promise<void>;

/** Sends a queue client's calls with its current settings. */
export class QueueCalls extends ClientCore {
  #uid: string;
  #gid: string;

  constructor(pool: ConnectionPool, settings: Settings, uid: string, gid: string) {
    super(pool, settings);
    this.#uid = checkIdentity("uid", uid);
    this.#gid = checkIdentity("gid", gid);
  }

  /** The consumer's id. */
  get uid(): string {
    return this.#uid;
  }

  /** The consumer's group. */
  get gid(): string {
    return this.#gid;
  }

  /** Sets the consumer's id and group. */
  identify(uid: string = this.#uid, gid: string = this.#gid): void {
    this.#uid = checkIdentity("uid", uid);
    this.#gid = checkIdentity("gid", gid);
    this.dropTemplate();
  }

  /** Whether the transport may resend a request without the client's knowledge. */
  get mayResend(): boolean {
    return this.pool.transport.mayResend === true;
  }

  protected override buildTemplate(): CallTemplate {
    const { settings } = this;
    const template = buildTemplate(settings, this.pool.platform);
    if (!template.target.isPredict && !settings.customUrl) throw notOfQueues(settings);
    const plan = withHeaders(template.plan, [
      [UID, this.#uid],
      [GID, this.#gid],
    ]);
    return { ...template, plan };
  }

  /** Runs an operation's call. `late` creates the request body after the call has started. */
  run<R>(operation: QueueOperation<R>, late?: CallBody): Promise<R> {
    try {
      this.pool.checkOpen();
      return runCall(this.pool, this.planOf(operation), late ?? operation.body ?? null, (result) =>
        operation.read(result, this.pool.transport),
      );
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Sends an operation for items in as few requests as possible. `through` sends each batch and may omit items from it.
   */
  async runForAll(
    indexes: FrameIndex | Iterable<FrameIndex>,
    operation: (batch: readonly bigint[]) => QueueOperation<void>,
    through: Through,
  ): Promise<void> {
    const batches = inBatches(checkIndexes("indexes", indexes));
    // Create all operations first, so that nothing is sent if an argument is invalid.
    batches.map(operation);
    await Promise.all(batches.map((batch) => through(batch, (rest) => this.run(operation(rest)))));
  }

  /** Returns the call plan for an operation. */
  planOf(operation: Omit<QueueOperation<unknown>, "read">): CallPlan {
    const { kind, method, query, path, headers = [], longPoll = 0, call = {} } = operation;
    checkOperationOptions("call options", "timeout: 1000", call, PLAN_OPTIONS);
    const { plan } = this.template();
    // Copy the plan only if necessary, because copying it takes as long as the rest of this method.
    const common = headers.length === 0 ? plan : withHeaders(plan, headers);
    const own = Object.keys(call).length === 0 ? common : withCallOptions(common, call);
    const { wire, signed } = path === undefined ? plan.suffix : suffixOf(path, undefined);
    const text = queryText(query);
    const joint = text === "" ? "" : wire.includes("?") ? "&" : "?";
    const suffix = { wire: wire + joint + text, signed: signed + joint + text };
    const { target } = plan;
    return {
      ...own,
      kind,
      isLongLived: longPoll > 0,
      method,
      suffix,
      path: joinPath(target.path, target.query, suffix.wire),
      resource: joinPath(target.resource, target.query, suffix.signed),
      timeout: Math.min(own.timeout + longPoll, MAX_TIMER_MS),
      totalTimeout: Math.min(own.totalTimeout + longPoll, MAX_TIMER_MS),
    };
  }
}

/**
 * Creates the error for an endpoint that is a single service's host. EAS does not document that such hosts serve
 * queues.
 */
function notOfQueues({ endpoint, serviceName }: Settings): TypeError {
  const { gateway, serviceName: own } = endpointOf({ endpoint }) ?? {};
  return argumentTypeError(
    "ERR_EAS_ARG_ENDPOINT",
    `endpoint ${showUrl(endpoint)} is the host of a service, but queues are behind the gateway: set endpoint to ${gateway} and queueName to ${show(serviceName || own)}, or set customUrl to the queue's own URL`,
  );
}

function queryText(query: QueryPairs): string {
  return query.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&");
}
