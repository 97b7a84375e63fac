/** Path of the console's own requests. The page itself is served at `/`. */
export const CONSOLE_PATH = "/_console/";
/**
 * Header with the console's token. A page of another origin cannot send it: the browser first asks with a preflight
 * request, which the console refuses.
 */
export const TOKEN_HEADER = "x-eas-console";
/** Maximum number of requests that the console keeps. */
export const MAX_REQUESTS = 200;

/** A service that the page can call. */
export interface ConsoleService {
  readonly name: string;
  /** Token to call it with; `""` when it accepts every caller. */
  readonly token: string;
}

/** One instance, as the page shows it. */
export interface ConsoleInstance {
  readonly origin: string;
  readonly isRunning: boolean;
  readonly isListed: boolean;
  readonly weight: number;
}

/** A fault that the page can switch on. */
export interface ConsoleFault {
  readonly id: string;
  readonly label: string;
  readonly description: string;
}

/** The state of the emulator without its requests. Sent when it changes. */
export interface ConsoleState {
  readonly services: readonly ConsoleService[];
  readonly queues: readonly ConsoleService[];
  readonly instances: readonly ConsoleInstance[];
  readonly faults: readonly ConsoleFault[];
  /** The faults that are switched on. A service of null means all services. */
  readonly activeFaults: readonly { readonly id: string; readonly service: string | null }[];
  /** Number of pending faults that a program has added. */
  readonly otherFaults: number;
}

/** The length and the consumers of one queue at one time. */
export interface QueueSample {
  readonly name: string;
  readonly length: number;
  readonly sinkLength: number;
  /** Number of items that were delivered and have not been committed. */
  readonly pending: number;
  /** Consumers with an open watch. */
  readonly consumers: readonly string[];
}

/** End of a request: complete, broken by a fault or an error, or because the caller disconnected. */
export type Outcome = "complete" | "broken" | "disconnected";

/** One line of the list of requests. */
export interface RequestSummary {
  readonly id: number;
  /** Time of arrival, in milliseconds since 1970. */
  readonly time: number;
  readonly method: string;
  /** Path and query. Secrets are masked. */
  readonly url: string;
  readonly service: string | undefined;
  /** `<ip>:<port>` of the instance that was called directly. */
  readonly instance: string | undefined;
  /** Status of the response; undefined before it, and when there is none. */
  readonly status: number | undefined;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Milliseconds from arrival to the response headers. */
  readonly headMs: number | undefined;
  /** Milliseconds from arrival to the end of the response. Undefined while the response is being sent. */
  readonly totalMs: number | undefined;
  readonly outcome: Outcome | undefined;
}

/** The beginning of a body. */
export interface BodyPreview {
  readonly text: string;
  /** Whether `text` is a hexadecimal dump, because the body is not text. */
  readonly isHex: boolean;
  /** Whether the body has more bytes than the preview shows. */
  readonly isCut: boolean;
}

/** A request with its headers and the beginnings of its bodies. Secrets are masked. */
export interface RequestDetails extends RequestSummary {
  readonly auth: string;
  readonly requestHeaders: readonly (readonly [name: string, value: string])[];
  readonly responseHeaders: readonly (readonly [name: string, value: string])[];
  readonly requestBody: BodyPreview;
  readonly responseBody: BodyPreview;
}

/** The events of the console's stream, by name. */
export interface ConsoleEvents {
  /** The whole state, at the start of the stream and after each change. */
  readonly state: ConsoleState;
  /** New and changed requests. */
  readonly requests: readonly RequestSummary[];
  /** A sample of all queues, once a second. */
  readonly queues: readonly QueueSample[];
}

/** The changes that the page can make, by path below `CONSOLE_PATH`. */
export interface ConsoleCommands {
  readonly fault: { readonly id: string; readonly service: string | null; readonly on: boolean };
  readonly instance: { readonly origin: string; readonly running: boolean };
  readonly clear: Record<string, never>;
}
