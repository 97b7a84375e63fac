import type { Bytes } from "./formats/request.js";
import { showAsText } from "./util/inspect.js";

/** The `code` of every error that a call can end with. */
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
  | "ERR_EAS_STREAM"
  | "ERR_EAS_UNSUPPORTED";

/** What every `EasError` carries beside its message. */
export interface EasErrorOptions {
  /** The error underneath, where there is one. */
  cause?: unknown;
  /** Attempts made, the failed one included. Default 0: nothing was sent. */
  attempts?: number;
  /** The request id that the service gave, where it gave one. */
  requestId?: string | undefined;
  /** Whether the same call may succeed when it is made again later. Default false. */
  retryable?: boolean;
  /** Whether a queue may have stored the item although no answer came. Default false. */
  maybeAccepted?: boolean;
  /** Whether a queue may have handed out and deleted items although no answer came. Default false. */
  maybeTaken?: boolean;
}

/** Shared by every copy of this package in a process, so that two copies know each other's errors. */
const BRAND: unique symbol = Symbol.for("eas-prediction.error");

/**
 * Whether a value is an error of this package, including one that another copy of the package created (ESM, CommonJS,
 * another version). Narrows to a union, so that `switch (error.code)` narrows further.
 *
 * @example
 * if (isEasError(error) && error.code === "ERR_EAS_HTTP") console.error(error.status, error.text);
 */
export function isEasError(value: unknown): value is AnyEasError {
  return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[BRAND] === true;
}

/** Maximum number of characters of a response body in `toJSON`. */
const JSON_TEXT_LENGTH = 1000;

/**
 * The base of all errors of this package. `instanceof` works across copies of the package; `code` narrows a union.
 * No error ever holds the token.
 */
export class EasError extends Error {
  /** A stable text to switch on. */
  readonly code: EasErrorCode;
  /** Attempts made before the call gave up, the failed one included; 0 when nothing was sent. */
  readonly attempts: number;
  /** The request id that the service gave, where it gave one. */
  readonly requestId: string | undefined;
  /** Whether the same call may succeed when it is made again later. */
  readonly retryable: boolean;
  /** Whether a queue may have stored the item although no answer came. */
  readonly maybeAccepted: boolean;
  /** Whether a queue may have handed out and deleted items although no answer came. */
  readonly maybeTaken: boolean;
  /** What had come of a stream that was read as text: its last 2^20 characters, without the token. */
  declare readonly received?: string | undefined;

  constructor(code: EasErrorCode, message: string, options: EasErrorOptions = {}) {
    // A cause that is undefined would show in logs all the same.
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
   * Returns the error as plain data for logs: `JSON.stringify` calls it. Contains the name, the message and the fields of the
   * class. A response body is included as `text`, cut after 1,000 characters; headers and cause are left out.
   */
  toJSON(): Record<string, unknown> {
    const { body, headers: _, value: __, ...fields } = this as { body?: Bytes; headers?: unknown; value?: unknown };
    const text = body && { text: new TextDecoder().decode(body).slice(0, JSON_TEXT_LENGTH) };
    return { name: this.name, message: this.message, ...fields, ...text };
  }

  /** Makes `instanceof` ask for the brand and the code, since two copies of the package have two prototypes. */
  static override [Symbol.hasInstance](this: unknown, value: unknown): boolean {
    if (isBaseClass(this)) return isEasError(value);
    const own = Object.getOwnPropertyDescriptor(this, "code")?.value as unknown;
    return own === undefined
      ? Function.prototype[Symbol.hasInstance].call(this as never, value)
      : isEasError(value) && value.code === own;
  }
}

// Apart, since a class that names itself is renamed by bundlers, and console.log would show the other name.
function isBaseClass(value: unknown): boolean {
  return value === EasError;
}

/** Shows the stack, the fields of `toJSON` and the cause; not the headers, nor the body as bytes. */
function inspectError(
  this: EasError,
  _depth: number,
  options: object,
  inspect: (value: unknown, options: object) => string,
): string {
  const { name, message, ...fields } = this.toJSON();
  // V8 writes the stack before the name is set. JavaScriptCore writes it without name and message.
  const trace = this.stack?.replace(/^Error: /, `${name}: `);
  const { cause } = this;
  return `${trace} ${inspect(cause ? { ...fields, cause } : fields, options)}`;
}

function named(error: EasError, name: string): void {
  Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
}

/** The service answered with a status that is no success. */
export class EasHttpError extends EasError {
  static readonly code = "ERR_EAS_HTTP";
  declare readonly code: "ERR_EAS_HTTP";
  /** The HTTP status code. */
  readonly status: number;
  /** The response headers. */
  readonly headers: Headers;
  /** The first 64 KiB of the response body. */
  readonly body: Bytes;
  /** How long the service asked to wait, in milliseconds, when it sent a valid `Retry-After`. */
  readonly retryAfter: number | undefined;
  /** What the status means on EAS and what to do about it. */
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

/** No complete answer came: the connection could not be made, or it broke. */
export class EasNetworkError extends EasError {
  static readonly code = "ERR_EAS_NETWORK";
  declare readonly code: "ERR_EAS_NETWORK";
  /** The system's own code from the cause chain, for example `ECONNREFUSED`, where the runtime tells it. */
  readonly systemCode: string | undefined;

  constructor(message: string, options: EasErrorOptions & { systemCode?: string | undefined }) {
    super("ERR_EAS_NETWORK", message, options);
    named(this, "EasNetworkError");
    this.systemCode = options.systemCode;
  }
}

/** Where a call was when its time ran out. */
export type EasTimeoutPhase = "connect" | "headers" | "body" | "total" | "idle";

/** The time for an attempt or for the whole call ran out. */
export class EasTimeoutError extends EasError {
  static readonly code = "ERR_EAS_TIMEOUT";
  declare readonly code: "ERR_EAS_TIMEOUT";
  /** What the call was waiting for; `"total"` when the whole call's time ran out. */
  readonly phase: EasTimeoutPhase;
  /** The limit that was reached, in milliseconds. */
  readonly timeout: number;

  constructor(message: string, options: EasErrorOptions & { phase: EasTimeoutPhase; timeout: number }) {
    super("ERR_EAS_TIMEOUT", message, options);
    named(this, "EasTimeoutError");
    this.phase = options.phase;
    this.timeout = options.timeout;
  }
}

/** An answer came, but it cannot be read. */
export class EasDecodeError extends EasError {
  static readonly code = "ERR_EAS_DECODE";
  declare readonly code: "ERR_EAS_DECODE";
  /** What was being read, for example `"tf"` or `"json"`. */
  readonly format: string;
  /** The byte of the body at which reading failed, where it is known. */
  readonly offset: number | undefined;

  constructor(message: string, options: EasErrorOptions & { format: string; offset?: number | undefined }) {
    super("ERR_EAS_DECODE", message, options);
    named(this, "EasDecodeError");
    this.format = options.format;
    this.offset = options.offset;
  }
}

/** A part of an answer that does not fit a schema. */
export interface EasSchemaIssue {
  /** The message of the schema's library. */
  readonly message: string;
  /** The keys that lead to it; empty for the answer itself. */
  readonly path: readonly (string | number)[];
}

/** The service answered with JSON that does not fit the schema of the call. */
export class EasSchemaError extends EasError {
  static readonly code = "ERR_EAS_SCHEMA";
  declare readonly code: "ERR_EAS_SCHEMA";
  /** The keys that lead to the first value that does not fit; empty for the answer itself. */
  readonly path: readonly (string | number)[];
  /** That value, without the token; undefined if the answer does not have it. Logs contain its `text` instead. */
  readonly value: unknown;
  /** That value as JSON text, cut after 1,000 characters. */
  readonly text: string;
  /** All that does not fit, up to 100 issues. */
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

/** No instance of the service could be found for a direct connection. */
export class EasDiscoveryError extends EasError {
  static readonly code = "ERR_EAS_DISCOVERY";
  declare readonly code: "ERR_EAS_DISCOVERY";
  /** Where the list of instances was asked for. */
  readonly source: string;

  constructor(message: string, options: EasErrorOptions & { source: string }) {
    super("ERR_EAS_DISCOVERY", message, options);
    named(this, "EasDiscoveryError");
    this.source = options.source;
  }
}

/** An asynchronous call ended, but the model answered with another status than 200 (tag `lastCode` of the result). */
export class EasModelError extends EasError {
  static readonly code = "ERR_EAS_MODEL";
  declare readonly code: "ERR_EAS_MODEL";
  /** The model's own HTTP status. */
  readonly status: number;
  /** What the model answered. */
  readonly body: Bytes;

  constructor(message: string, options: EasErrorOptions & { status: number; body: Bytes }) {
    super("ERR_EAS_MODEL", message, options);
    named(this, "EasModelError");
    this.status = options.status;
    this.body = options.body;
  }

  /** What the model answered, decoded as UTF-8. */
  get text(): string {
    return new TextDecoder().decode(this.body);
  }
}

/**
 * A service reported in the middle of a stream that it failed, or the stream ended in good order although its last events are
 * missing. The text up to there is in `received`.
 */
export class EasStreamError extends EasError {
  static readonly code = "ERR_EAS_STREAM";
  declare readonly code: "ERR_EAS_STREAM";
  /** The data of the event that reports the error, the JSON value, or the line that ended the stream too early. */
  readonly data: string;
  /** The HTTP status that represents the error, if the service sent one. */
  readonly status: number | undefined;

  constructor(message: string, options: EasErrorOptions & { data: string; status?: number | undefined }) {
    super("ERR_EAS_STREAM", message, options);
    named(this, "EasStreamError");
    this.data = options.data;
    this.status = options.status;
  }
}

/** The queue service ended a watch for good. */
export class EasQueueClosedError extends EasError {
  static readonly code = "ERR_EAS_QUEUE_CLOSED";
  declare readonly code: "ERR_EAS_QUEUE_CLOSED";
  /** The close code of the WebSocket, where there was one. */
  readonly closeCode: number | undefined;
  /** The reason that came with it. */
  readonly reason: string;

  constructor(message: string, options: EasErrorOptions & { closeCode?: number | undefined; reason: string }) {
    super("ERR_EAS_QUEUE_CLOSED", message, options);
    named(this, "EasQueueClosedError");
    this.closeCode = options.closeCode;
    this.reason = options.reason;
  }
}

/** A WebSocket of a service has ended, and not in good order; or something was to be sent over one that had ended. */
export class EasSocketClosedError extends EasError {
  static readonly code = "ERR_EAS_SOCKET_CLOSED";
  declare readonly code: "ERR_EAS_SOCKET_CLOSED";
  /** The close code; 1005 when the service gave none, 1006 when the connection ended without a close frame. */
  readonly closeCode: number;
  /** The reason that came with it; may be empty. */
  readonly reason: string;

  constructor(message: string, options: EasErrorOptions & { closeCode: number; reason: string }) {
    super("ERR_EAS_SOCKET_CLOSED", message, options);
    named(this, "EasSocketClosedError");
    this.closeCode = options.closeCode;
    this.reason = options.reason;
  }
}

/** A call was made with a client that had been closed. Nothing was sent. */
export class EasClosedError extends EasError {
  static readonly code = "ERR_EAS_CLOSED";
  declare readonly code: "ERR_EAS_CLOSED";

  constructor(message = "this client is closed: create a new one", options: EasErrorOptions = {}) {
    super("ERR_EAS_CLOSED", message, options);
    named(this, "EasClosedError");
  }
}

/** The runtime, or this version of the package, cannot do what was asked; the message says why and what works. */
export class EasUnsupportedError extends EasError {
  static readonly code = "ERR_EAS_UNSUPPORTED";
  declare readonly code: "ERR_EAS_UNSUPPORTED";

  constructor(message: string, options: EasErrorOptions = {}) {
    super("ERR_EAS_UNSUPPORTED", message, options);
    named(this, "EasUnsupportedError");
  }
}

/** Every concrete error class of this package: `switch (error.code)` narrows it. */
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
  | EasStreamError
  | EasUnsupportedError;
