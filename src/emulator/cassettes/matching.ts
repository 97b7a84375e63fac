import { optionError } from "../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { isRecord } from "../../util/realms.js";
import type { Recording } from "./recording.js";

/**
 * The parts of a request that are compared with recorded requests. `true` compares a part, `false` ignores it, and a
 * function decides whether the two parts match.
 */
export interface ReplayMatch {
  /** Compares the HTTP method. Default true. */
  readonly method?: boolean | undefined;
  /** Compares the path. Default true: the paths must be equal, except that repeated slashes count as one. */
  readonly path?: boolean | ((actual: string, recorded: string) => boolean) | undefined;
  /**
   * Compares the query. Default true: the parameters must be equal in any order. The `requestId` parameter is not
   * compared, because queue clients choose it at random. Parameter values that contain a secret are not compared.
   */
  readonly query?: boolean | ((actual: URLSearchParams, recorded: URLSearchParams) => boolean) | undefined;
  /** Compares the body. Default true: the bytes must be equal. The functions must not change the bytes. */
  readonly body?: boolean | ((actual: Uint8Array, recorded: Uint8Array) => boolean) | undefined;
}

const MATCH_OPTIONS: OptionNames<ReplayMatch> = { method: 1, path: 1, query: 1, body: 1 };

/** A request to compare, without secrets. */
export type ComparedRequest = Pick<Recording, "method" | "path" | "query" | "isUpgrade" | "body">;

/** Compares requests with recorded requests. */
export class Matcher {
  readonly #match: ReplayMatch;

  /** Throws a `TypeError` for invalid options. */
  constructor(match: ReplayMatch = {}) {
    if (!isRecord(match)) throw optionError("replay.match", match, "be an object such as { body: false }");
    checkOptionNames("replay.match", match, MATCH_OPTIONS);
    for (const [name, value] of Object.entries(match)) {
      const isValid =
        value === undefined || typeof value === "boolean" || (typeof value === "function" && name !== "method");
      if (!isValid) throw optionError(`replay.match.${name}`, value, "be true, false or a function");
    }
    this.#match = match;
  }

  /** Whether a request matches a recorded request. */
  matches(actual: ComparedRequest, recorded: ComparedRequest): boolean {
    return this.#differingParts(actual, recorded).next().done === true;
  }

  /** Describes each difference between a request and a recorded request. */
  differences(actual: ComparedRequest, recorded: ComparedRequest): string[] {
    return [...this.#differingParts(actual, recorded)].map((part) => describe(part, actual, recorded));
  }

  /** Returns the recorded request with the fewest and smallest differences. */
  nearest(actual: ComparedRequest, recordings: readonly Recording[]): Recording | undefined {
    let nearest: Recording | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const recorded of recordings) {
      let distance = 0;
      for (const part of this.#differingParts(actual, recorded)) distance += distanceOf(part, actual, recorded);
      if (distance >= least) continue;
      least = distance;
      nearest = recorded;
    }
    return nearest;
  }

  *#differingParts(actual: ComparedRequest, recorded: ComparedRequest): Generator<Part> {
    const { method = true, path = true, query = true, body = true } = this.#match;
    if (actual.isUpgrade !== recorded.isUpgrade) yield "upgrade";
    if (method && actual.method !== recorded.method) yield "method";
    if (!compare(path, actual.path, recorded.path, (a, b) => plainPath(a) === plainPath(b))) yield "path";
    const queries = [new URLSearchParams(actual.query), new URLSearchParams(recorded.query)] as const;
    if (!compare(query, ...queries, (a, b) => sortedQuery(a) === sortedQuery(b))) yield "query";
    if (!compare(body, actual.body, recorded.body, (a, b) => firstDifference(a, b) === -1)) yield "body";
  }
}

type Part = "upgrade" | "method" | "path" | "query" | "body";

function compare<T>(
  setting: boolean | ((actual: T, recorded: T) => boolean),
  actual: T,
  recorded: T,
  isEqual: (actual: T, recorded: T) => boolean,
): boolean {
  if (setting === false) return true;
  return (setting === true ? isEqual : setting)(actual, recorded);
}

/** Replaces repeated slashes in a path with one, as the gateway does. */
function plainPath(path: string): string {
  return path.replace(/\/{2,}/g, "/");
}

/** The parameter that a queue client sets to a random value for each `put`. */
const RANDOM_PARAMETER = "requestId";

function sortedQuery(query: URLSearchParams): string {
  const sorted = new URLSearchParams(query);
  sorted.delete(RANDOM_PARAMETER);
  sorted.sort();
  return String(sorted);
}

/** Returns the index of the first byte that differs; -1 if the bytes are equal. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return a.length === b.length ? -1 : length;
}

/** Returns the weight of a difference. A different path weighs more than a different body. */
function distanceOf(part: Part, actual: ComparedRequest, recorded: ComparedRequest): number {
  switch (part) {
    case "path":
      return 8 + 8 * (1 - commonShare(actual.path.split("/"), recorded.path.split("/")));
    case "upgrade":
      return 8;
    case "method":
      return 4;
    case "query":
      return 2 + (1 - commonShare(actual.query.split("&").sort(), recorded.query.split("&").sort()));
    case "body": {
      const longest = Math.max(actual.body.length, recorded.body.length);
      return 1 + (1 - firstDifference(actual.body, recorded.body) / longest);
    }
  }
}

/** Returns the length of the common start of two lists, as a fraction of the longer list. */
function commonShare(a: readonly string[], b: readonly string[]): number {
  const at = a.findIndex((each, i) => each !== b[i]);
  return (at === -1 ? a.length : at) / Math.max(a.length, b.length);
}

function describe(part: Part, actual: ComparedRequest, recorded: ComparedRequest): string {
  switch (part) {
    case "upgrade":
      return actual.isUpgrade
        ? "the recorded request does not open a WebSocket"
        : "the recorded request opens a WebSocket";
    case "method":
      return `the method is ${actual.method}, recorded ${recorded.method}`;
    case "path":
      return `the path is ${JSON.stringify(actual.path)}, recorded ${JSON.stringify(recorded.path)}`;
    case "query":
      return describeQuery(new URLSearchParams(actual.query), new URLSearchParams(recorded.query));
    case "body":
      return describeBody(actual.body, recorded.body);
  }
}

function describeQuery(actual: URLSearchParams, recorded: URLSearchParams): string {
  const names = [...new Set([...actual.keys(), ...recorded.keys()])];
  const values = (query: URLSearchParams, name: string) => {
    const list = query.getAll(name);
    return list.length === 0 ? "absent" : list.map((value) => JSON.stringify(value)).join(" and ");
  };
  const parts = names
    .filter((name) => name !== RANDOM_PARAMETER && values(actual, name) !== values(recorded, name))
    .map((name) => `${name} is ${values(actual, name)}, recorded ${values(recorded, name)}`);
  return parts.length === 0 ? "the query does not match" : `the query parameter ${parts.join("; ")}`;
}

/** Describes the first difference between two bodies, with the text around the difference. */
export function describeBody(actual: Uint8Array, recorded: Uint8Array): string {
  const at = firstDifference(actual, recorded);
  if (at === -1) return "the body does not match";
  const excerpts = [actual, recorded].map((body) => excerpt(body, at));
  return `the body differs at byte ${at}: ${excerpts[0]}, recorded ${excerpts[1]}`;
}

/** Number of body bytes that a message shows before and after the difference. */
const SHOWN_BYTES = 20;

function excerpt(body: Uint8Array, at: number): string {
  if (body.length === 0) return "it is empty";
  if (at >= body.length) return `it ends after ${body.length} bytes`;
  const start = Math.max(0, at - SHOWN_BYTES);
  const shown = body.subarray(start, at + SHOWN_BYTES);
  const text = new TextDecoder().decode(shown);
  const isText = !/\p{Cc}/u.test(text.replace(/[\t\r\n]/g, "")) && !text.slice(4, -4).includes("\ufffd");
  if (!isText) return `${shown.length} bytes of binary data`;
  const end = start + shown.length < body.length ? "…" : "";
  return `${start > 0 ? "…" : ""}${JSON.stringify(text)}${end}`;
}
