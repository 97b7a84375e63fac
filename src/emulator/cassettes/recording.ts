import { base64Decode } from "@bufbuild/protobuf/wire";
import { sha256 } from "@noble/hashes/sha2.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { isBytes, isRecord } from "../../util/realms.js";
import {
  bodyFiles,
  CASSETTE_FORMAT,
  CASSETTE_VERSION,
  type Cassette,
  CONNECTION_HEADERS,
  EMPTY_STATUSES,
  hashInName,
  MAX_STATUS,
  MIN_STATUS,
} from "./cassette.js";

/** An interaction whose bodies have been read and whose fields have been checked. */
export interface Recording {
  /** Position in its cassette, for messages. */
  readonly index: number;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly isUpgrade: boolean;
  readonly body: Uint8Array;
  /** Undefined if the service closed the connection before the response headers. */
  readonly result: RecordedResponse | RecordedSocket | undefined;
}

/** A response that can be replayed. */
export interface RecordedResponse {
  readonly kind: "response";
  readonly status: number;
  readonly statusText: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly delay: number;
  readonly chunks: readonly { readonly at: number; readonly bytes: Uint8Array }[];
  readonly end: "complete" | "broken" | "canceled" | "cut";
}

/** The messages of a WebSocket that can be replayed. */
export interface RecordedSocket {
  readonly kind: "socket";
  readonly protocol: string | undefined;
  readonly delay: number;
  readonly messages: readonly RecordedMessage[];
  readonly close: { readonly code: number; readonly reason: string; readonly by: "client" | "service" | "recorder" };
}

/** A message of a WebSocket. */
export interface RecordedMessage {
  readonly by: "client" | "service";
  readonly at: number;
  readonly data: string | Uint8Array;
}

const ENDS = ["complete", "broken", "canceled", "cut"] as const;
const CLOSERS = ["client", "service", "recorder"] as const;
/** Maximum delay that a timer accepts, in milliseconds. */
const MAX_DELAY = 2 ** 31 - 1;

/**
 * Checks a cassette and reads its bodies. Bodies that are already bytes are not copied.
 *
 * @throws TypeError if the cassette is damaged, or has a version that this release does not read.
 */
export function readRecordings(cassette: Cassette): Recording[] {
  const bodies = readBodies(cassette);
  return checkInteractions(cassette).map((interaction, index) => {
    const place = `interactions[${index}]`;
    const body = (file: string | undefined) => (file === undefined ? new Uint8Array(0) : (bodies.get(file) as never));
    const fields = new Fields(interaction, place);
    const request = fields.record("request");
    const [path, query] = splitUrl(request.text("url"));
    const results = ["response", "socket", "broken"].filter((name) => fields.has(name));
    if (results.length !== 1) {
      throw damaged(
        place,
        `it has ${results.join(" and ") || "no result"}`,
        "exactly one of response, socket and broken",
      );
    }
    return {
      index,
      method: request.text("method"),
      path,
      query,
      isUpgrade: request.has("upgrade"),
      body: body(request.file("body")),
      result: fields.has("response")
        ? readResponse(fields.record("response"), body, request.text("method"))
        : fields.has("socket")
          ? readSocket(fields.record("socket"), body)
          : undefined,
    };
  });
}

/**
 * Checks the version and the list of interactions of a cassette. Its bodies may be absent.
 *
 * @throws TypeError if the value is not a cassette of a known version.
 */
export function checkInteractions(cassette: Omit<Cassette, "bodies">): readonly Cassette["interactions"][number][] {
  if (!isRecord(cassette) || cassette.format !== CASSETTE_FORMAT) {
    const found = isRecord(cassette) ? `format is ${show(cassette.format)}` : `it is ${show(cassette)}`;
    throw damaged("", found, `an object with format ${show(CASSETTE_FORMAT)}`);
  }
  if (cassette.version !== CASSETTE_VERSION) {
    throw damaged(
      "version",
      `it is ${show(cassette.version)}`,
      `${CASSETTE_VERSION}, the version that this release reads`,
    );
  }
  if (!Array.isArray(cassette.interactions)) {
    throw damaged("interactions", `it is ${show(cassette.interactions)}`, "a list");
  }
  for (const [index, interaction] of cassette.interactions.entries()) {
    const fields = new Fields(interaction, `interactions[${index}]`);
    fields.record("request").file("body");
    if (fields.has("response")) fields.record("response").file("body");
    if (fields.has("socket")) for (const name of ["sent", "received"]) fields.record("socket").file(name);
  }
  return cassette.interactions;
}

/** Splits a path from its query, which is returned without the question mark. */
export function splitUrl(url: string): [path: string, query: string] {
  const at = url.indexOf("?");
  return at === -1 ? [url, ""] : [url.slice(0, at), url.slice(at + 1)];
}

/** Reads and verifies all bodies. */
function readBodies(cassette: Cassette): Map<string, Uint8Array> {
  const bodies = new Map<string, Uint8Array>();
  for (const file of bodyFiles(checkInteractions(cassette))) {
    const content = Object.hasOwn(cassette.bodies ?? {}, file) ? cassette.bodies[file] : undefined;
    if (content === undefined) throw damaged("bodies", `${show(file)} is missing`, "the content of each body file");
    const bytes = bytesOf(content, file);
    if (hexOf(sha256(bytes)) !== hashInName(file)) throw changedBody(file);
    bodies.set(file, bytes);
  }
  return bodies;
}

/** Returns the error for a body file whose content does not match its name. */
export function changedBody(file: string): TypeError {
  return damaged(
    "bodies",
    `the content of ${show(file)} does not match the SHA-256 in its name`,
    'the recorded bytes. If Git has converted line ends, add "* -text" to .gitattributes',
  );
}

function bytesOf(content: unknown, file: string): Uint8Array {
  if (isBytes(content)) return content;
  if (typeof content === "string") return new TextEncoder().encode(content);
  const { base64 } = isRecord(content) ? content : {};
  try {
    if (typeof base64 === "string") return base64Decode(base64);
  } catch {
    // Reported below.
  }
  throw damaged(`bodies[${show(file)}]`, `it is ${show(content)}`, "bytes, text, or an object { base64 }");
}

function readResponse(
  fields: Fields,
  body: (file: string | undefined) => Uint8Array,
  method: string,
): RecordedResponse {
  const bytes = body(fields.file("body"));
  const status = fields.integer("status", MIN_STATUS, MAX_STATUS);
  let from = 0;
  const chunks = fields.list("chunks").map((chunk, i) => {
    const [at, size] = new Fields(chunk, fields.placeOf("chunks", i)).numbers(2);
    from += size as number;
    return { at: at as number, bytes: bytes.subarray(from - (size as number), from) };
  });
  if (from !== bytes.length) {
    throw damaged(
      fields.placeOf("chunks"),
      `the chunks are ${from} bytes long`,
      `${bytes.length} bytes, the size of the body`,
    );
  }
  const headers = fields.list("headers").map((pair, i) => new Fields(pair, fields.placeOf("headers", i)).header());
  const end = fields.oneOf("end", ENDS);
  const [, length] = headers.find(([name]) => /^content-length$/i.test(name)) ?? [];
  const hasBody = method !== "HEAD" && !EMPTY_STATUSES.includes(status) && end === "complete";
  // A server would wait for missing bytes, or drop the rest.
  if (hasBody && length !== undefined && Number(length) !== bytes.length) {
    const found = `content-length is ${show(length)}`;
    throw damaged(fields.placeOf("headers"), found, `${bytes.length}, the size of the body`);
  }
  return {
    kind: "response",
    status,
    statusText: fields.text("statusText", /^[\t\x20-\x7e\x80-\xff]*$/, "a reason phrase of one line"),
    headers,
    delay: fields.integer("delay", 0, MAX_DELAY),
    chunks,
    end,
  };
}

function readSocket(fields: Fields, body: (file: string | undefined) => Uint8Array): RecordedSocket {
  const bytes = { client: body(fields.file("sent")), service: body(fields.file("received")) };
  const from = { client: 0, service: 0 };
  const messages = fields.list("messages").map((message, i): RecordedMessage => {
    const place = fields.placeOf("messages", i);
    const [by, at, type, size] = (Array.isArray(message) ? message : []) as unknown[];
    if ((by !== "client" && by !== "service") || (type !== "text" && type !== "binary")) {
      throw damaged(
        place,
        `it is ${show(message)}`,
        '["client" or "service", milliseconds, "text" or "binary", bytes]',
      );
    }
    const [time, length] = new Fields([at, size], place).numbers(2) as [number, number];
    from[by] += length;
    const data = bytes[by].subarray(from[by] - length, from[by]);
    return { by, at: time, data: type === "text" ? new TextDecoder().decode(data) : data };
  });
  for (const by of ["client", "service"] as const) {
    if (from[by] === bytes[by].length) continue;
    const found = `the ${by}'s messages are ${from[by]} bytes long`;
    throw damaged(fields.placeOf("messages"), found, `${bytes[by].length} bytes, the size of the body file`);
  }
  const close = fields.record("close");
  return {
    kind: "socket",
    protocol: fields.has("protocol")
      ? fields.text("protocol", /^[\w!#$%&'*+.^`|~-]+$/, "the name of a subprotocol")
      : undefined,
    delay: fields.integer("delay", 0, MAX_DELAY),
    messages,
    close: { code: closeCodeOf(close), reason: close.text("reason"), by: close.oneOf("by", CLOSERS) },
  };
}

/** Returns a close code that a replay can send, or the code of a connection without a close frame or without a code. */
function closeCodeOf(close: Fields): number {
  const code = close.integer("code", 1000, 4999);
  const isValid = (code <= 1014 && code !== 1004) || code >= 3000;
  if (isValid) return code;
  throw damaged(close.placeOf("code"), `it is ${code}`, "a close code that can be sent, or 1005 or 1006");
}

/** Reads the fields of an object in a cassette. Each method throws a `TypeError` that names the field. */
class Fields {
  readonly #value: unknown;
  readonly #place: string;

  constructor(value: unknown, place: string) {
    if (typeof value !== "object" || value === null) throw damaged(place, `it is ${show(value)}`, "an object");
    this.#value = value;
    this.#place = place;
  }

  placeOf(name: string, index?: number): string {
    return `${this.#place}.${name}${index === undefined ? "" : `[${index}]`}`;
  }

  has(name: string): boolean {
    return this.#get(name) !== undefined && this.#get(name) !== false;
  }

  record(name: string): Fields {
    return new Fields(this.#get(name), this.placeOf(name));
  }

  text(name: string, pattern = /(?:)/, expected = "text"): string {
    const value = this.#get(name);
    return typeof value === "string" && pattern.test(value) ? value : this.#fail(name, expected);
  }

  integer(name: string, min: number, max: number): number {
    const value = this.#get(name) as number;
    const isValid = Number.isInteger(value) && value >= min && value <= max;
    return isValid ? value : this.#fail(name, `an integer from ${min} to ${max}`);
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const value = this.#get(name) as T;
    return values.includes(value) ? value : this.#fail(name, `one of ${values.map(show).join(", ")}`);
  }

  /** A list; an absent list is empty. */
  list(name: string): readonly unknown[] {
    const value = this.#get(name) ?? [];
    return Array.isArray(value) ? value : this.#fail(name, "a list");
  }

  /** The name of a body file; undefined if there is none. */
  file(name: string): string | undefined {
    const value = this.#get(name);
    if (value === undefined || hashInName(value) !== undefined) return value as string | undefined;
    return this.#fail(name, "the name of a body file: 64 hexadecimal digits and a file extension");
  }

  /** The elements, which must be `count` integers of at least 0. */
  numbers(count: number): number[] {
    const value = this.#value as number[];
    const isValid = Array.isArray(value) && value.length === count && value.every((each) => Number.isInteger(each));
    if (isValid && value.every((each) => each >= 0 && each <= MAX_DELAY)) return value;
    throw damaged(
      this.#place,
      `it is [${[value].flat().map(show).join(", ")}]`,
      "milliseconds and bytes, both integers",
    );
  }

  /** The elements, which must be the name and value of a header. */
  header(): [string, string] {
    const pair = this.#value as [string, string];
    try {
      if (Array.isArray(pair) && pair.length === 2) new Headers([pair]);
      else throw new TypeError("not a pair");
    } catch {
      throw damaged(this.#place, "it is not a valid header", "a list of name and value");
    }
    if (!CONNECTION_HEADERS.test(pair[0])) return pair;
    throw damaged(this.#place, `it is ${pair[0]}`, "a header that does not belong to the connection");
  }

  #get(name: string): unknown {
    const value = this.#value as Record<string, unknown>;
    return Object.hasOwn(value, name) ? value[name] : undefined;
  }

  #fail(name: string, expected: string): never {
    throw damaged(this.placeOf(name), `it is ${show(this.#get(name))}`, expected);
  }
}

/** Returns the error for a cassette that cannot be read. */
export function damaged(place: string, found: string, expected: string, cause?: unknown): TypeError {
  const message = `cassette${place === "" ? "" : `, ${place}`}: ${found}. Expected ${expected}.`;
  const error = argumentTypeError("ERR_EAS_ARG_OPTION", message);
  return cause === undefined ? error : Object.assign(error, { cause });
}

function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
