import { checkHeaderValue } from "../config/headers.js";
import type { ClientOptions } from "../config/options.js";
import { CLIENT_OPTIONS, type EndpointType } from "../config/settings.js";
import type { Bytes } from "../formats/request.js";
import type { WebSocketDialer } from "../platform/contract.js";
import { argumentTypeError, optionError, show } from "../util/argument-errors.js";
import { guarded } from "../util/guarded.js";
import { changeNames, checkOptionNames, type OptionNames } from "../util/option-names.js";
import { isArrayBuffer, isBlob, isBytes } from "../util/realms.js";

/** Options for `QueueClient`. */
export interface QueueClientOptions
  extends Omit<ClientOptions, "auth" | "compression" | "announceCompression" | "decompression" | "hedgeAfter"> {
  /** The gateway's address, as shown in the console; see `PredictClientOptions.endpoint`. */
  readonly endpoint?: string | undefined;
  /** The queue: a service's name for its input queue, or `"service/sink"` for its output queue. */
  readonly queueName?: string | undefined;
  /** The queue's complete URL, if its path does not begin with `/api/predict/`. */
  readonly customUrl?: string | undefined;
  /** Type of endpoint. Default `ENDPOINT_TYPE_GATEWAY`. */
  readonly endpointType?: EndpointType | undefined;
  /**
   * Form of the token in requests: `"token"` sends the token unchanged, and `"bearer"` sends `Bearer <token>`.
   * Default `"token"`.
   */
  readonly auth?: "token" | "bearer" | undefined;
  /** `Content-Type` of all requests. Default: none, as in the official SDKs. */
  readonly contentType?: string | undefined;
  /** This client's id among the consumers in its group. Default: a random UUID. Two clients must not share an id. */
  readonly uid?: string | undefined;
  /**
   * The consumer group. Each group receives all items. Within a group, each item is delivered to one consumer. Default
   * `"eas"`.
   */
  readonly gid?: string | undefined;
  /** Receives warnings. `null` disables warnings. Default: the console. */
  readonly logger?: QueueLogger | null | undefined;
  /** Opens the WebSockets of watchers. Default: the runtime opens them. */
  readonly dialWebSocket?: WebSocketDialer | undefined;
}

/** Receives a queue client's warnings. `console` is a valid logger. */
export interface QueueLogger {
  /** Logs a warning. Thrown errors and rejected promises are ignored. */
  warn(message: string): void;
}

/**
 * Resolves to the type `O`, or to an error type if `O` can have keys that `Known` does not have. Needed because
 * TypeScript also accepts tags (`Record<string, string>`) and strings for a type with only optional keys.
 */
export type KnownOptions<Known, O extends Known> = O &
  ([Exclude<keyof O, keyof Known>] extends [never]
    ? unknown
    : string extends keyof O
      ? never
      : { readonly [K in Exclude<keyof O, keyof Known>]?: never });

/** The data of an item. Text is encoded as UTF-8. */
export type QueueData = string | Uint8Array | ArrayBuffer | Blob;

/** The known option names. Includes `hedgeAfter`, because `refuseHedging` explains why a queue does not accept it. */
export const QUEUE_OPTIONS: OptionNames<QueueClientOptions> = /* @__PURE__ */ changeNames(
  CLIENT_OPTIONS,
  ["serviceName", "requestPath", "preset", "compression", "announceCompression", "decompression"],
  { queueName: 1, uid: 1, gid: 1 },
);

const SILENT: QueueLogger = { warn: () => {} };

/**
 * Returns a logger that never throws. If `logger` is `null`, the returned logger discards warnings. Throws a
 * `TypeError` for other values.
 */
export function checkLogger(logger: QueueLogger | null): QueueLogger {
  if (logger === null) return SILENT;
  if (typeof logger?.warn !== "function") {
    throw optionError("logger", logger, "be an object with warn(), such as console, or null for no warnings");
  }
  // A failing logger must not end the background task that calls it.
  return { warn: (message) => guarded(() => logger.warn(message)) };
}

/** Returns a valid `auth` option. Throws a `TypeError` for other values. */
export function checkQueueAuth(auth: "token" | "bearer"): "token" | "bearer" {
  if (auth === "token" || auth === "bearer") return auth;
  // Omit the value from the message, because it may be the token.
  throw argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    'auth must be "token" or "bearer" for a queue; pass the token itself in the token option',
  );
}

/** Throws a `TypeError` if `hedgeAfter` is set. With a queue, a hedge would put or read items twice. */
export function refuseHedging({ hedgeAfter }: Pick<ClientOptions, "hedgeAfter">): void {
  if (hedgeAfter === undefined) return;
  throw argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    "hedgeAfter is for predictions: with a queue, items would be put or read twice",
  );
}

/** Returns a valid consumer or group id, which is sent as a header. Throws a `TypeError` for other values. */
export function checkIdentity(name: "uid" | "gid", value: string): string {
  if (typeof value === "string" && value.trim() !== "") return checkHeaderValue(name, value);
  throw optionError(name, value, "be a name, or be left out: undefined keeps the current value or the default");
}

/**
 * Throws a `TypeError` if the options of an operation are not an object, or contain an unknown name. The official SDKs
 * accept a string or tags in this position; without this check, such an argument would be ignored.
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
      `${operation} accepts options such as { ${example} }, not ${show(options)}`,
    );
  }
  const advice = "tags" in names ? "tags go into { tags: { … } }" : undefined;
  checkOptionNames(operation, options, names, advice);
}

/**
 * Throws a `TypeError` for options that are present with the value `undefined`. If such options were treated as
 * absent, the operation would apply to unintended items, such as the head of the queue.
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

/** Returns the bytes of an item, without copying a `Uint8Array` or `ArrayBuffer`. */
export async function toBytes(data: QueueData): Promise<Bytes> {
  if (typeof data === "string") return new TextEncoder().encode(data);
  if (isBytes(data)) return data as Bytes;
  if (isArrayBuffer(data)) return new Uint8Array(data);
  if (isBlob(data)) return (await import("../call/lazy.js")).bytesOfBlob(data);
  throw argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    `put accepts a string, a Uint8Array, an ArrayBuffer or a Blob, not ${show(data)}; put JSON as JSON.stringify(value)`,
  );
}
