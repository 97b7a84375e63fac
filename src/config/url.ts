import { checkSegments, checkText, encodePath } from "../endpoint/path.js";
import { argumentTypeError, show, showUrl } from "../util/argument-errors.js";
import type { CallOptions } from "./options.js";

/** Matches the characters that must be percent-encoded in a query: the same as in a path, except `?`. */
const QUERY_TO_ENCODE = /%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]/gu;

/**
 * Path and query of a call, which are appended to the service URL. `wire` is percent-encoded. `signed` is not
 * percent-encoded, because the official SDKs sign the text before encoding it.
 */
export interface Suffix {
  readonly wire: string;
  readonly signed: string;
}

const NO_SUFFIX: Suffix = { wire: "", signed: "" };

/** Checks the path and the query of a call and joins them. Throws a `TypeError` for an invalid path or query. */
export function suffixOf(path: string | undefined, query: CallOptions["query"]): Suffix {
  if (!path && query === undefined) return NO_SUFFIX;
  const text = checkPath(path ?? "");
  const cut = text.indexOf("?");
  const parameters = encodeQuery(query);
  const joint = parameters === "" ? "" : cut === -1 ? "?" : "&";
  const encoded =
    cut === -1
      ? encodePath(text)
      : encodePath(text.slice(0, cut)) + text.slice(cut).replace(QUERY_TO_ENCODE, encodeURIComponent);
  return { wire: encoded + joint + parameters, signed: text + joint + parameters };
}

/** Checks a path within a service and returns it with a leading slash. Throws a `TypeError` for an invalid path. */
export function checkPath(path: string): string {
  if (typeof path !== "string") {
    throw argumentTypeError("ERR_EAS_ARG_PATH", `path is of type ${typeof path}: it must be a string`);
  }
  checkText("ERR_EAS_ARG_PATH", "path", path);
  if (path.includes("#")) {
    throw argumentTypeError(
      "ERR_EAS_ARG_PATH",
      `path ${showUrl(path)} has a "#", which is not sent to servers: write %23`,
    );
  }
  checkSegments("ERR_EAS_ARG_PATH", "path", path.split("?", 1)[0] as string);
  return path === "" || path.startsWith("/") || path.startsWith("?") ? path : `/${path}`;
}

function encodeQuery(query: CallOptions["query"]): string {
  if (query === undefined) return "";
  if (typeof query !== "object" || query === null || Symbol.iterator in query) {
    throw argumentTypeError(
      "ERR_EAS_ARG_QUERY",
      `query is ${show(query)}: it must be an object such as { lang: "zh" }. To pass a query as text, append it to the path`,
    );
  }
  const parts: string[] = [];
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined) continue;
    if (value !== null && !["string", "number", "boolean", "bigint"].includes(typeof value)) {
      throw argumentTypeError(
        "ERR_EAS_ARG_QUERY",
        `query parameter ${show(key)} is ${show(value)}: it must be a string, a number, a boolean, a bigint or null`,
      );
    }
    checkText("ERR_EAS_ARG_QUERY", `query parameter ${show(key)}`, key + value);
    parts.push(
      value === null ? encodeURIComponent(key) : `${encodeURIComponent(key)}=${encodeURIComponent(String(value))}`,
    );
  }
  return parts.join("&");
}

/** Appends a call's path and query to a target's path and query. The target's query comes first. */
export function joinPath(path: string, query: string, suffix: string): string {
  if (suffix === "") return path + query;
  const cut = suffix.indexOf("?");
  const behind = cut === -1 ? suffix : suffix.slice(0, cut);
  // Avoid a double slash: a custom URL may end with a slash, and the path of a call starts with one.
  const joined = behind === "" ? path : path.replace(/\/$/, "") + behind;
  if (cut === -1) return joined + query;
  return joined + (query === "" ? suffix.slice(cut) : `${query}&${suffix.slice(cut + 1)}`);
}
