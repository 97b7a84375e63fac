import type { Target } from "../endpoint/gateway.js";
import { checkSegments, encodePath } from "../endpoint/path.js";
import { argumentTypeError, show } from "../errors.js";
import type { CallOptions } from "./options.js";

/** As for a path, and `?` may stand in a query. */
const QUERY_TO_ENCODE = /%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]/gu;

/**
 * A call's path and query as they follow the service's own: `wire` percent-encoded, `signed` as the caller wrote it,
 * since the official SDKs sign the text before it is encoded.
 */
export interface Suffix {
  readonly wire: string;
  readonly signed: string;
}

const NO_SUFFIX: Suffix = { wire: "", signed: "" };

/** Checks the path and the query of a call and joins them. */
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

/** Checks a path behind a service and gives it a leading slash. */
export function checkPath(path: string): string {
  if (typeof path !== "string") {
    throw argumentTypeError("ERR_EAS_ARG_PATH", `path is of type ${typeof path}: it must be a string`);
  }
  if (path.includes("#")) {
    throw argumentTypeError("ERR_EAS_ARG_PATH", `path ${show(path)} has a "#", which no server ever sees: write %23`);
  }
  checkSegments("ERR_EAS_ARG_PATH", "path", path.split("?", 1)[0] as string);
  return path === "" || path.startsWith("/") || path.startsWith("?") ? path : `/${path}`;
}

function encodeQuery(query: CallOptions["query"]): string {
  const parts: string[] = [];
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value === undefined) continue;
    if (value !== null && !["string", "number", "boolean", "bigint"].includes(typeof value)) {
      throw argumentTypeError(
        "ERR_EAS_ARG_QUERY",
        `query parameter ${show(key)} is ${show(value)}: it must be a string, a number, a boolean, a bigint or null`,
      );
    }
    parts.push(
      value === null ? encodeURIComponent(key) : `${encodeURIComponent(key)}=${encodeURIComponent(String(value))}`,
    );
  }
  return parts.join("&");
}

/** Path and query as they are sent; a query of the target's own comes before that of the call. */
export function joinPath(target: Pick<Target, "path" | "query">, suffix: Suffix): string {
  if (target.query === "") return target.path + suffix.wire;
  const [path, ...rest] = suffix.wire.split("?");
  return target.path + path + target.query + (rest.length > 0 ? `&${rest.join("?")}` : "");
}
