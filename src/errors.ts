import type { Bytes } from "./formats/request.js";
import { showAsText } from "./util/inspect.js";

/** The `code` of an `EasError`. Each code belongs to one class. */
export type EasErrorCode =
  | "ERR_EAS_CLOSED"
  | "ERR_EAS_HTTP"
  | "ERR_EAS_NETWORK"
  | "ERR_EAS_TIMEOUT"
  | "ERR_EAS_DECODE"
  | "ERR_EAS_DISCOVERY"
  | "ERR_EAS_MODEL"
  | "ERR_EAS_QUEUE_CLOSED"
  | "ERR_EAS_SCHEMA"
  | "ERR_EAS_SOCKET_CLOSED"
  | "ERR_EAS_STORE"
  | "ERR_EAS_STREAM"
  | "ERR_EAS_UNSUPPORTED";

/** Options for the `EasError` constructor. */
export interface EasErrorOptions {
  /** The underlying error, if any. */
  cause?: unknown;
  /** Number of attempts, including the failed one. Default 0, which means that nothing was sent. */
  attempts?: number;
  /** The request id of the response. Undefined if the response had no request id. */
  requestId?: string | undefined;
  /** Whether the same call may succeed if retried later. Default false. */
  retryable?: boolean;
  /** Whether a queue may have stored the item although no response was received. Default false. */
  maybeAccepted?: boolean;
  /** Whether a queue may have delivered and deleted items although no response was received. Default false. */
  maybeTaken?: boolean;
}

/** Symbol from the global registry, so that copies of this package in one process recognize each other's errors. */
const BRAND: unique symbol = Symbol.for("eas-prediction.error");

/**
 * Returns whether a value is an error of this package. Errors from another copy of the package (ESM, CommonJS, another
 * version) are recognized too. Narrows the type to a union, so that `switch (error.code)` narrows it further.
 *
 * @example
 * if (isEasError(error) && error.code === "ERR_EAS_HTTP") console.error(error.status, error.text);
 */
export function isEasError(value: unknown): value is AnyEasError {
  return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[BRAND] === true;
}

/** Maximum number of response body characters in the `toJSON` output. */
const JSON_TEXT_LENGTH = 1000;

/**
 * The base class of all errors of this package. `instanceof` works across copies of the package. Errors never contain
 * the token.
 *
 * @example
 * try {
 *   await client.predict(request);
 * } catch (error) {
 *   if (error instanceof EasError && error.retryable) scheduleRetry(error.requestId);
 *   else throw error;
 * }
 */
export class EasError extends Error {
  /** Identifies the class. Stable across versions. */
  readonly code: EasErrorCode;
  /** Number of attempts, including the failed one; 0 if nothing was sent. */
  readonly attempts: number;
  /** The request id of the response. Undefined if the response had no request id. */
  readonly requestId: string | undefined;
  /** Whether the same call may succeed if retried later. */
  readonly retryable: boolean;
  /** Whether a queue may have stored the item although no response was received. */
  readonly maybeAccepted: boolean;
  /** Whether a queue may have delivered and deleted items although no response was received. */
  readonly maybeTaken: boolean;
  /**
   * Text received before a stream failed: at most the last 2^20 characters, with the token redacted. Absent for
   * other errors.
   */
  declare readonly received?: string | undefined;

  /** Creates an error. Applications do not need this constructor. */
  constructor(code: EasErrorCode, message: string, options: EasErrorOptions = {}) {
    // The option is passed only if there is a cause, because logs would also show a `cause` property that is undefined.
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.attempts = options.attempts ?? 0;
    this.requestId = options.requestId;
    this.retryable = options.retryable ?? false;
    this.maybeAccepted = options.maybeAccepted ?? false;
    this.maybeTaken = options.maybeTaken ?? false;
    named(this, "EasError");
    Object.defineProperty(this, BRAND, { value: true });
    showAsText(this, inspectError);
  }

  /**
   * Returns the error as plain data, for logs and `JSON.stringify`: the name, the message and the fields of the class.
   * The response body is included as `text`, truncated to 1,000 characters. Headers and cause are omitted.
   */
  toJSON(): Record<string, unknown> {
    const { body, headers: _, value: __, ...fields } = this as { body?: Bytes; headers?: unknown; value?: unknown };
    const text = body && { text: new TextDecoder().decode(body).slice(0, JSON_TEXT_LENGTH) };
    return { name: this.name, message: this.message, ...fields, ...text };
  }

  /**
   * Compares the brand and the code instead of prototypes in `instanceof` checks, because each copy of the package has
   * its own prototypes.
   */
  static override [Symbol.hasInstance](this: unknown, value: unknown): boolean {
    if (isBaseClass(this)) return isEasError(value);
    const own = Object.getOwnPropertyDescriptor(this, "code")?.value as unknown;
    return own === undefined
      ? Function.prototype[Symbol.hasInstance].call(this as never, value)
      : isEasError(value) && value.code === own;
  }
}

// This function is outside the class because bundlers rename a class that refers to itself, and `console.log` would
// show the new name.
function isBaseClass(value: unknown): boolean {
  return value === EasError;
}

/** Returns the stack, the fields of `toJSON` and the cause, but neither the headers nor the raw body. */
function inspectError(
  this: EasError,
  _depth: number,
  options: object,
  inspect: (value: unknown, options: object) => string,
): string {
  const { name, message, ...fields } = this.toJSON();
  // V8 captures the stack before the name is set, so the name is corrected here. In JavaScriptCore, the stack contains
  // neither the name nor the message.
  const trace = this.stack?.replace(/^Error: /, `${name}: `);
  const { cause } = this;
  return `${trace} ${inspect(cause ? { ...fields, cause } : fields, options)}`;
}

function named(error: EasError, name: string): void {
  Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
}

/**
 * Thrown when the service responds with a status other than success.
 *
 * @example
 * if (error instanceof EasHttpError) console.error(error.status, error.hint, error.text);
 */
export class EasHttpError extends EasError {
  static readonly code = "ERR_EAS_HTTP";
  declare readonly code: "ERR_EAS_HTTP";
  /** The HTTP status code. */
  readonly status: number;
  /** The response headers. */
  readonly headers: Headers;
  /** The first 64 KiB of the response body. */
  readonly body: Bytes;
  /** The delay in milliseconds that the service requested with `Retry-After`. Undefined if there is no valid header. */
  readonly retryAfter: number | undefined;
  /** Explains what the status means on EAS and what to do about it. */
  readonly hint: string;

  constructor(
    message: string,
    options: EasErrorOptions & {
      status: number;
      headers: Headers;
      body: Bytes;
      retryAfter?: number | undefined;
      hint: string;
    },
  ) {
    super("ERR_EAS_HTTP", message, options);
    named(this, "EasHttpError");
    this.status = options.status;
    this.headers = options.headers;
    this.body = options.body;
    this.retryAfter = options.retryAfter;
    this.hint = options.hint;
  }

  /** The received part of the response body, decoded as UTF-8. */
  get text(): string {
    return new TextDecoder().decode(this.body);
  }
}

/**
 * The reason why a browser blocked a request. `"mixed-content"`: the page was loaded over https, but the endpoint uses
 * http. `"cors"`: the browser gave no reason, but most likely the service does not allow the page's origin.
 */
export type EasNetworkErrorReason = "mixed-content" | "cors";

/** Thrown when no complete response was received: the connection could not be opened, or it broke. */
export class EasNetworkError extends EasError {
  static readonly code = "ERR_EAS_NETWORK";
  declare readonly code: "ERR_EAS_NETWORK";
  /** The operating system's code, for example `"ECONNREFUSED"`, if the runtime reports one. */
  readonly systemCode: string | undefined;
  /** The reason why the browser blocked the request; undefined for any other failure. */
  readonly reason: EasNetworkErrorReason | undefined;

  constructor(
    message: string,
    options: EasErrorOptions & { systemCode?: string | undefined; reason?: EasNetworkErrorReason | undefined },
  ) {
    super("ERR_EAS_NETWORK", message, options);
    named(this, "EasNetworkError");
    this.systemCode = options.systemCode;
    this.reason = options.reason;
  }
}

/**
 * The phase of a call that timed out: opening a connection, waiting for the response headers, or reading the body.
 * `"total"` means the whole call, and `"idle"` means the wait for the next data of a stream.
 */
export type EasTimeoutPhase = "connect" | "headers" | "body" | "total" | "idle";

/** Thrown when an attempt, the whole call, or the wait for data of a stream times out. */
export class EasTimeoutError extends EasError {
  static readonly code = "ERR_EAS_TIMEOUT";
  declare readonly code: "ERR_EAS_TIMEOUT";
  /** The phase that timed out. */
  readonly phase: EasTimeoutPhase;
  /** Duration of the timeout that expired, in milliseconds. */
  readonly timeout: number;

  constructor(message: string, options: EasErrorOptions & { phase: EasTimeoutPhase; timeout: number }) {
    super("ERR_EAS_TIMEOUT", message, options);
    named(this, "EasTimeoutError");
    this.phase = options.phase;
    this.timeout = options.timeout;
  }
}

/** Thrown when a response cannot be decoded, or is larger than `maxResponseBytes`. */
export class EasDecodeError extends EasError {
  static readonly code = "ERR_EAS_DECODE";
  declare readonly code: "ERR_EAS_DECODE";
  /** The format that was decoded, for example `"tf"` or `"json"`. */
  readonly format: string;
  /** Byte offset at which decoding failed, if known. */
  readonly offset: number | undefined;

  constructor(message: string, options: EasErrorOptions & { format: string; offset?: number | undefined }) {
    super("ERR_EAS_DECODE", message, options);
    named(this, "EasDecodeError");
    this.format = options.format;
    this.offset = options.offset;
  }
}

/** A value in a response that does not match the schema. */
export interface EasSchemaIssue {
  /** The schema library's message. */
  readonly message: string;
  /** Keys on the path from the response to the value. Empty if the value is the response itself. */
  readonly path: readonly (string | number)[];
}

/** Thrown when the service responds with JSON that does not match the call's schema. */
export class EasSchemaError extends EasError {
  static readonly code = "ERR_EAS_SCHEMA";
  declare readonly code: "ERR_EAS_SCHEMA";
  /**
   * Keys on the path from the response to the first value that does not match. Empty if that value is the response
   * itself.
   */
  readonly path: readonly (string | number)[];
  /**
   * The first value that does not match, with the token redacted. Undefined if the value is missing. Logs contain
   * `text` instead.
   */
  readonly value: unknown;
  /** The first value that does not match, as JSON text truncated to 1,000 characters. */
  readonly text: string;
  /** The values that do not match, at most 100. */
  readonly issues: readonly EasSchemaIssue[];

  constructor(
    message: string,
    options: EasErrorOptions & {
      path: readonly (string | number)[];
      value: unknown;
      text: string;
      issues: readonly EasSchemaIssue[];
    },
  ) {
    super("ERR_EAS_SCHEMA", message, options);
    named(this, "EasSchemaError");
    this.path = options.path;
    this.value = options.value;
    this.text = options.text;
    this.issues = options.issues;
  }
}

/** Thrown when discovery finds no instance of the service for a direct connection. */
export class EasDiscoveryError extends EasError {
  static readonly code = "ERR_EAS_DISCOVERY";
  declare readonly code: "ERR_EAS_DISCOVERY";
  /** The discovery service or endpoint source that was queried. */
  readonly source: string;

  constructor(message: string, options: EasErrorOptions & { source: string }) {
    super("ERR_EAS_DISCOVERY", message, options);
    named(this, "EasDiscoveryError");
    this.source = options.source;
  }
}

/**
 * Thrown when the model responds to an asynchronous call with a status other than 200 (the result's `lastCode` tag).
 */
export class EasModelError extends EasError {
  static readonly code = "ERR_EAS_MODEL";
  declare readonly code: "ERR_EAS_MODEL";
  /** The HTTP status of the model's response. */
  readonly status: number;
  /** The body of the model's response. */
  readonly body: Bytes;

  constructor(message: string, options: EasErrorOptions & { status: number; body: Bytes }) {
    super("ERR_EAS_MODEL", message, options);
    named(this, "EasModelError");
    this.status = options.status;
    this.body = options.body;
  }

  /** The body of the model's response, decoded as UTF-8. */
  get text(): string {
    return new TextDecoder().decode(this.body);
  }
}

/** Thrown when the store of `run` fails. `cause` is the error of the store. The message contains what to do. */
export class EasStoreError extends EasError {
  static readonly code = "ERR_EAS_STORE";
  declare readonly code: "ERR_EAS_STORE";
  /** The handle of the job, for `AsyncInferenceClient.resume`. Undefined if the queue has not confirmed the job. */
  declare readonly job?:
    | {
        readonly service?: string | undefined;
        readonly index: string;
        readonly requestId?: string | undefined;
        readonly tag: string;
      }
    | undefined;

  constructor(message: string, options?: EasErrorOptions) {
    super("ERR_EAS_STORE", message, options);
    named(this, "EasStoreError");
  }
}

/**
 * Thrown when a service reports an error within a stream, or when a stream ends without the events that complete it.
 * `received` contains the text that was received before the error.
 */
export class EasStreamError extends EasError {
  static readonly code = "ERR_EAS_STREAM";
  declare readonly code: "ERR_EAS_STREAM";
  /** The data of the error event, the JSON value that reports the error, or the unexpected last line of the stream. */
  readonly data: string;
  /** The HTTP status within the error event, if it has one. */
  readonly status: number | undefined;

  constructor(message: string, options: EasErrorOptions & { data: string; status?: number | undefined }) {
    super("ERR_EAS_STREAM", message, options);
    named(this, "EasStreamError");
    this.data = options.data;
    this.status = options.status;
  }
}

/** Thrown when the queue service ends a watch permanently. */
export class EasQueueClosedError extends EasError {
  static readonly code = "ERR_EAS_QUEUE_CLOSED";
  declare readonly code: "ERR_EAS_QUEUE_CLOSED";
  /** The close code of the WebSocket, if there is one. */
  readonly closeCode: number | undefined;
  /** The close reason; may be empty. */
  readonly reason: string;

  constructor(message: string, options: EasErrorOptions & { closeCode?: number | undefined; reason: string }) {
    super("ERR_EAS_QUEUE_CLOSED", message, options);
    named(this, "EasQueueClosedError");
    this.closeCode = options.closeCode;
    this.reason = options.reason;
  }
}

/** Thrown when a WebSocket closes abnormally, or when a message is sent on a WebSocket that is closing or closed. */
export class EasSocketClosedError extends EasError {
  static readonly code = "ERR_EAS_SOCKET_CLOSED";
  declare readonly code: "ERR_EAS_SOCKET_CLOSED";
  /** The close code; 1005 if the close frame has no code, 1006 if the connection ended without a close frame. */
  readonly closeCode: number;
  /** The close reason; may be empty. */
  readonly reason: string;

  constructor(message: string, options: EasErrorOptions & { closeCode: number; reason: string }) {
    super("ERR_EAS_SOCKET_CLOSED", message, options);
    named(this, "EasSocketClosedError");
    this.closeCode = options.closeCode;
    this.reason = options.reason;
  }
}

/** Thrown when a closed client is used. Nothing is sent in that case. */
export class EasClosedError extends EasError {
  static readonly code = "ERR_EAS_CLOSED";
  declare readonly code: "ERR_EAS_CLOSED";

  constructor(message = "this client is closed: create a new one", options: EasErrorOptions = {}) {
    super("ERR_EAS_CLOSED", message, options);
    named(this, "EasClosedError");
  }
}

/**
 * Thrown when the runtime or this version of the package does not support a feature. The message names alternatives.
 */
export class EasUnsupportedError extends EasError {
  static readonly code = "ERR_EAS_UNSUPPORTED";
  declare readonly code: "ERR_EAS_UNSUPPORTED";

  constructor(message: string, options: EasErrorOptions = {}) {
    super("ERR_EAS_UNSUPPORTED", message, options);
    named(this, "EasUnsupportedError");
  }
}

/** Union of all concrete error classes of this package. `switch (error.code)` narrows it. */
export type AnyEasError =
  | EasClosedError
  | EasHttpError
  | EasNetworkError
  | EasTimeoutError
  | EasDecodeError
  | EasDiscoveryError
  | EasModelError
  | EasQueueClosedError
  | EasSchemaError
  | EasSocketClosedError
  | EasStoreError
  | EasStreamError
  | EasUnsupportedError;
