/**
 * A recorded session: requests with their responses, in the order in which the requests began. `startRecorder` writes it,
 * and the `cassettes` option of an emulator replays it. The types are wide enough for an object that was imported as JSON.
 */
export interface Cassette {
  /** Always `"eas-prediction-cassette"`. */
  readonly format: string;
  /** Version of the format. This release reads version 1. */
  readonly version: number;
  /** The recorded requests with their responses. */
  readonly interactions: readonly CassetteInteraction[];
  /** The bodies by file name: bytes, text, or base64. On disk, each is a file in the `bodies` folder. */
  readonly bodies: Readonly<Record<string, Uint8Array | string | { readonly base64: string }>>;
}

/** One recorded request. It has exactly one of `response`, `socket` and `broken`. */
export interface CassetteInteraction {
  /** The request. */
  readonly request: CassetteRequest;
  /** The response, unless the service accepted a WebSocket or broke the connection. */
  readonly response?: CassetteResponse | undefined;
  /** The messages of an accepted WebSocket. */
  readonly socket?: CassetteSocket | undefined;
  /** True if the service closed the connection before the response headers. */
  readonly broken?: boolean | undefined;
}

/** A recorded request, without credentials. */
export interface CassetteRequest {
  /** HTTP method. */
  readonly method: string;
  /** Path and query. Secrets are replaced with `REDACTED`. */
  readonly url: string;
  /** True if the request asked for a WebSocket. */
  readonly upgrade?: boolean | undefined;
  /** Headers that describe the body, as pairs of name and value. Replay does not compare them. */
  readonly headers?: readonly (readonly string[])[] | undefined;
  /** Name of the body file; undefined for an empty body. */
  readonly body?: string | undefined;
}

/** A recorded response. */
export interface CassetteResponse {
  /** HTTP status, from 200 to 599. */
  readonly status: number;
  /** Reason phrase. */
  readonly statusText: string;
  /** Headers as pairs of name and value, without cookies, credentials or connection headers. */
  readonly headers: readonly (readonly string[])[];
  /** Milliseconds from the request to the response headers. */
  readonly delay: number;
  /** Name of the body file; undefined for an empty body. */
  readonly body?: string | undefined;
  /** The body's chunks, each as a pair: milliseconds since the headers, and size in bytes. */
  readonly chunks?: readonly (readonly number[])[] | undefined;
  /**
   * End of the body: `"complete"`; `"broken"` by the service; `"canceled"` by the client; or `"cut"` by the recorder
   * at a limit. A replayed `"canceled"` body waits until its client disconnects. `"broken"` and `"cut"` break the
   * connection.
   */
  readonly end: string;
}

/** The recorded messages of a WebSocket. */
export interface CassetteSocket {
  /** Subprotocol chosen by the service. */
  readonly protocol?: string | undefined;
  /** Milliseconds from the request to the upgrade. */
  readonly delay: number;
  /**
   * The messages in order. Each lists the sender (`"client"` or `"service"`), milliseconds since the upgrade, the type
   * (`"text"` or `"binary"`) and the size in bytes.
   */
  readonly messages: readonly (readonly (string | number)[])[];
  /** Name of the body file that contains the client's messages, joined. */
  readonly sent?: string | undefined;
  /** Name of the body file that contains the service's messages, joined. */
  readonly received?: string | undefined;
  /** End of the connection. `by` is `"client"`, `"service"`, or `"recorder"` if a limit was exceeded. */
  readonly close: { readonly code: number; readonly reason: string; readonly by: string };
}

/** Value of `Cassette.format`. */
export const CASSETTE_FORMAT = "eas-prediction-cassette";
/** Value of `Cassette.version` that this release reads and writes. */
export const CASSETTE_VERSION = 1;
/** Name of the index file in a cassette's directory. */
export const INDEX_FILE = "cassette.json";
/** Folder for the body files in a cassette's directory. */
export const BODIES_FOLDER = "bodies";

/** Headers that belong to one connection, and are neither forwarded nor recorded (RFC 9110, 7.6.1). */
export const CONNECTION_HEADERS: RegExp =
  /^(connection|keep-alive|proxy-(connection|authenticate|authorization)|te|trailer|transfer-encoding|upgrade|expect|host)$/i;

/** Statuses that can be replayed. `Response` rejects all others. */
export const MIN_STATUS = 200;
export const MAX_STATUS = 599;

/** Whether a response with this status can be replayed. */
export function isReplayable(status: number): boolean {
  return status >= MIN_STATUS && status <= MAX_STATUS;
}

/** Statuses whose responses have no body. `Response` rejects even an empty body for them. */
export const EMPTY_STATUSES: readonly number[] = [204, 205, 304];

/** A body file is named after the SHA-256 hash of its content, so a name cannot lead out of the folder. */
const BODY_FILE = /^([0-9a-f]{64})(\.[a-z0-9]{1,8})?$/;

/** Returns the SHA-256 hash in a body file's name; undefined if the name is invalid. */
export function hashInName(file: unknown): string | undefined {
  return typeof file === "string" ? BODY_FILE.exec(file)?.[1] : undefined;
}

/** Returns the names of all body files that the interactions refer to. */
export function bodyFiles(interactions: readonly CassetteInteraction[]): Set<string> {
  const files = interactions.flatMap(({ request, response, socket }) => [
    request.body,
    response?.body,
    socket?.sent,
    socket?.received,
  ]);
  return new Set(files.filter((file) => file !== undefined));
}
