import { checkHeaderValue } from "../config/headers.js";
import type { ClientOptions } from "../config/options.js";
import { CLIENT_OPTIONS, type EndpointType } from "../config/settings.js";
import type { Bytes } from "../formats/request.js";
import type { WebSocketDialer } from "../platform/contract.js";
import { argumentTypeError, optionError, show } from "../util/argument-errors.js";
import { guarded } from "../util/guarded.js";
import { changeNames, checkOptionNames, type OptionNames } from "../util/option-names.js";
import { isArrayBuffer, isBlob, isBytes } from "../util/realms.js";

/** Options of a `QueueClient`. */
export interface QueueClientOptions
  extends Omit<ClientOptions, "auth" | "compression" | "announceCompression" | "decompression" | "hedgeAfter"> {
  /** The gateway, as the console shows it; see `PredictClientOptions.endpoint`. */
  readonly endpoint?: string | undefined;
  /** The queue: a service's name for its input queue, `"service/sink"` for its output queue. */
  readonly queueName?: string | undefined;
  /** The whole URL of a queue that is not below `/api/predict/`. */
  readonly customUrl?: string | undefined;
  /** Default `ENDPOINT_TYPE_GATEWAY`. */
  readonly endpointType?: EndpointType | undefined;
  /** How the token is sent: as it is, which is the default, or as `Bearer <token>`. Queues take no signature. */
  readonly auth?: "token" | "bearer" | undefined;
  /** `Content-Type` of all requests. Default: none, as the official SDKs. */
  readonly contentType?: string | undefined;
  /** Who this client is among the consumers of its group. Default: a random UUID. Two clients must not share one. */
  readonly uid?: string | undefined;
  /** The group of consumers: each group gets all items, each item goes to one consumer of it. Default `"eas"`. */
  readonly gid?: string | undefined;
  /** Where warnings go: `null` for nowhere. Default the console. */
  readonly logger?: QueueLogger | null | undefined;
  /** Opens the WebSockets of watchers, in place of the runtime's own. */
  readonly dialWebSocket?: WebSocketDialer | undefined;
}

/** Where a queue client says what happens to it. `console` is one. */
export interface QueueLogger {
  warn(message: string): void;
}

/**
 * The options `O`, unless they may have keys that `Known` does not have. A `Record<string, string>` of tags, or a string, is
 * assignable to a type that has only optional keys, but it is not an object of options.
 */
export type KnownOptions<Known, O extends Known> = O &
  ([Exclude<keyof O, keyof Known>] extends [never]
    ? unknown
    : string extends keyof O
      ? never
      : { readonly [K in Exclude<keyof O, keyof Known>]?: never });

/** What can be put: text goes as UTF-8. */
export type QueueData = string | Uint8Array | ArrayBuffer | Blob;

/** `hedgeAfter` is listed because `refuseHedging` explains why a queue does not take it. */
export const QUEUE_OPTIONS: OptionNames<QueueClientOptions> = /* @__PURE__ */ changeNames(
  CLIENT_OPTIONS,
  ["serviceName", "requestPath", "preset", "compression", "announceCompression", "decompression"],
  { queueName: 1, uid: 1, gid: 1 },
);

const SILENT: QueueLogger = { warn: () => {} };

/** Checks a logger; `null` is one that says nothing. */
export function checkLogger(logger: QueueLogger | null): QueueLogger {
  if (logger === null) return SILENT;
  if (typeof logger?.warn !== "function") {
    throw optionError("logger", logger, "be an object with warn(), such as console, or null for no warnings");
  }
  // It is called from background tasks, which a logger that fails must not end.
  return { warn: (message) => guarded(() => logger.warn(message)) };
}

/** Checks how a queue's token is to be sent. */
export function checkQueueAuth(auth: "token" | "bearer"): "token" | "bearer" {
  if (auth === "token" || auth === "bearer") return auth;
  // Without the value, which may be the token.
  throw argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    'auth must be "token" or "bearer" for a queue; the token itself is the option token',
  );
}

/** Refuses what is for predictions only: on a queue, items would be put or read twice. */
export function refuseHedging({ hedgeAfter }: Pick<ClientOptions, "hedgeAfter">): void {
  if (hedgeAfter === undefined) return;
  throw argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    "hedgeAfter is for predictions: on a queue, items would be put or read twice",
  );
}

/** Checks the name of a consumer or of a group, which is sent as a header. */
export function checkIdentity(name: "uid" | "gid", value: string): string {
  if (typeof value === "string" && value.trim() !== "") return checkHeaderValue(name, value);
  throw optionError(name, value, "be a name, or be left out: undefined keeps the current value or the default");
}

/**
 * Checks that the options of an operation are an object with known names only: the official SDKs take text in their place,
 * and tags beside them, which would be ignored.
 */
export function checkOperationOptions(
  operation: string,
  example: string,
  options: unknown,
  names: Readonly<Record<string, unknown>>,
): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `${operation} takes options such as { ${example} }, not ${show(options)}`,
    );
  }
  const advice = "tags" in names ? "tags go into { tags: { … } }" : undefined;
  checkOptionNames(operation, options, names, advice);
}

/**
 * Refuses options that are present with the value `undefined`. Taken as absent, the operation would apply to other items than
 * the caller meant, such as the head of the queue.
 */
export function refuseUndefined(operation: string, names: readonly string[], options: object): void {
  for (const name of names) {
    if (name in options && (options as Record<string, unknown>)[name] === undefined) {
      throw argumentTypeError(
        "ERR_EAS_ARG_OPTION",
        `${operation}: ${name} is undefined. Give it a value, or leave it out to call ${operation} without it`,
      );
    }
  }
}

/** The bytes of what is put. */
export async function toBytes(data: QueueData): Promise<Bytes> {
  if (typeof data === "string") return new TextEncoder().encode(data);
  if (isBytes(data)) return data as Bytes;
  if (isArrayBuffer(data)) return new Uint8Array(data);
  if (isBlob(data)) return (await import("../call/lazy.js")).bytesOfBlob(data);
  throw argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    `put takes a string, a Uint8Array, an ArrayBuffer or a Blob, not ${show(data)}; put JSON as JSON.stringify(value)`,
  );
}
