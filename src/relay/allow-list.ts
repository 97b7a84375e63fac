import { checkText, encodePath } from "../endpoint/path.js";
import { optionError } from "../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../util/option-names.js";
import {
  checkQueueRule,
  type Decision,
  decideOperation,
  type QueueRule,
  queueControlIn,
  type RelayOperation,
} from "./queue-rules.js";

/** Methods that a relay can forward. The relay itself responds to `OPTIONS`. */
export type RelayMethod = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

/** All methods that a rule can name. */
export const METHODS: readonly RelayMethod[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/**
 * A rule for requests that a relay forwards. A request matches if its path is one of `paths`, and it uses one of
 * `methods` or is one of the queue `operations`.
 */
export interface RelayRule {
  /** Default `["POST"]`. Cannot be combined with `operations`, which imply the methods. */
  readonly methods?: readonly RelayMethod[] | undefined;
  /**
   * Paths within the service, without a query. A path is either exact, such as `"/v1/chat/completions"`, or ends with
   * `*`: `"/v1/*"` covers all paths below `/v1/`. `"/"` is the service itself. With `services`, each path begins with a
   * service name: `"/jobs"`, `"/jobs/sink"`, `"/chat/v1/*"`. With `operations`, `*` does not cover a queue's sink.
   */
  readonly paths: readonly string[];
  /**
   * Operations on a queue, such as `["put"]` for an input queue and `["result"]` for its sink. Without this option,
   * requests with queue parameters or headers are refused.
   */
  readonly operations?: readonly RelayOperation[] | undefined;
  /**
   * The consumer group (`gid`) for callers that watch, commit or search. Replaces the group in the caller's request;
   * `"*"` keeps the caller's group. In both cases, the caller's `uid` is forwarded. Without this option, such requests
   * are refused if they contain a uid or gid.
   */
  readonly gid?: string | undefined;
}

interface CheckedRule {
  readonly methods: readonly RelayMethod[];
  readonly exact: ReadonlySet<string>;
  readonly prefixes: readonly string[];
  readonly queue: QueueRule | undefined;
}

/** Decides which requests the relay forwards. */
export class AllowList {
  readonly #rules: readonly CheckedRule[];

  /**
   * `services` contains the paths of the services, with one of which each rule's paths must begin; undefined for a
   * single service.
   */
  constructor(rules: readonly RelayRule[], services: readonly string[] | undefined) {
    if (!Array.isArray(rules) || rules.length === 0) {
      throw optionError(
        "allow",
        rules,
        'be a list such as [{ methods: ["POST"], paths: ["/"] }]; the relay refuses all other requests',
      );
    }
    this.#rules = rules.map((rule, i) => checkRule(`allow[${i}]`, rule, services));
  }

  /** Decides whether to forward a request for `path`. The first rule that allows the request applies. */
  decide(method: string, path: string, search: string, headers: Headers): Decision {
    let refused = `this relay does not allow ${method} on this path`;
    if (!isPlainPath(path)) return { refused };
    for (const rule of this.#rules) {
      if (!covers(rule, path)) continue;
      if (rule.queue !== undefined) {
        const decision = decideOperation(rule.queue, method, search, headers);
        if (decision.refused === undefined) return decision;
        refused = decision.refused;
      } else if (rule.methods.some((allowed) => allowed === method)) {
        const control = queueControlIn(search, headers);
        if (control === undefined) return { refused: undefined, search, headers: [] };
        refused = `this relay does not allow ${control} on this path: its rule names no operations of a queue`;
      }
    }
    return { refused };
  }
}

function checkRule(name: string, rule: RelayRule, services: readonly string[] | undefined): CheckedRule {
  checkOptionNames(name, rule, { methods: 1, paths: 1, operations: 1, gid: 1 } satisfies OptionNames<RelayRule>);
  const { methods = ["POST"], paths, operations, gid } = rule ?? {};
  if (!Array.isArray(methods) || methods.length === 0 || !methods.every((method) => METHODS.includes(method))) {
    const wrong = Array.isArray(methods) ? methods.find((method) => !METHODS.includes(method)) : methods;
    throw optionError(`${name}.methods`, wrong, `be a list of some of ${METHODS.join(", ")}, in capitals`);
  }
  if (operations !== undefined && rule.methods !== undefined) {
    throw optionError(
      `${name}.methods`,
      rule.methods,
      "be left out where operations are given: they imply the methods",
    );
  }
  if (operations === undefined && gid !== undefined) {
    throw optionError(`${name}.gid`, gid, "be left out where no operations are given");
  }
  if (!Array.isArray(paths) || paths.length === 0) {
    throw optionError(`${name}.paths`, paths, 'be a list of paths such as ["/", "/v1/*"]');
  }
  const checked = paths.map((text) => checkRulePath(`${name}.paths`, text, services));
  return {
    methods,
    exact: new Set(checked.filter((path) => !path.endsWith("*"))),
    prefixes: checked.filter((path) => path.endsWith("*")).map((path) => path.slice(0, -1)),
    queue: operations && checkQueueRule(name, operations, gid),
  };
}

function covers({ exact, prefixes, queue }: CheckedRule, path: string): boolean {
  if (exact.has(path)) return true;
  return prefixes.some((prefix) => path.startsWith(prefix) && !(queue && leadsToSink(path.slice(prefix.length))));
}

/** Whether a path names an output queue. All other paths below a queue refer to its input queue. */
function leadsToSink(path: string): boolean {
  return plainText(path)
    .split("/")
    .some((segment) => /^\s*sink\s*(;|$)/i.test(segment));
}

/** Returns the path as the most lenient server might interpret it. Throws for an invalid escape or invalid UTF-8. */
function plainText(path: string): string {
  return decodeURIComponent(path).normalize("NFKC");
}

/**
 * Characters that look like a slash, a backslash or a dot. Some servers and file systems replace such a character with
 * the character that it resembles.
 */
const LOOK_ALIKES =
  /[\u2024-\u2026\u2044\u2215\u2216\u2571\u2572\u29f5\u29f8\u29f9\u3002\ufe52\ufe68\uff0e\uff0f\uff3c\uff61]/;

/**
 * Whether all servers interpret a path in the same way. If not, a path that is allowed as "/v1/x" could be a different
 * path for the service. Servers decode escapes before they resolve ".." or look for "?". Some servers decode twice,
 * interpret a backslash or a similar character as a slash, drop the part after ";" in a segment, or merge slashes.
 */
export function isPlainPath(path: string): boolean {
  let text: string;
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
    text = plainText(path);
  } catch {
    return false;
  }
  if (!path.startsWith("/") || /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\ufffd\\%?#]/u.test(text) || LOOK_ALIKES.test(decoded)) {
    return false;
  }
  const segments = text.split("/").slice(1);
  // Reject compatibility characters that contain a slash, such as U+2100.
  if (segments.length !== decoded.split("/").length - 1) return false;
  return segments.every(
    (segment, i) => (segment !== "" || i === segments.length - 1) && !/^\s*\.{1,2}\s*(;|$)/.test(segment),
  );
}

/** Checks a configured path and returns it encoded for a URL. `name` refers to the path in error messages. */
export function checkPlainPath(name: string, text: string): string {
  if (typeof text === "string") {
    checkText("ERR_EAS_ARG_OPTION", name, text);
    const path = encodePath(text);
    if (isPlainPath(path)) return path;
  }
  throw optionError(name, text, 'begin with a slash, such as "/v1/chat", and have no query, empty part or ".."');
}

function checkRulePath(name: string, text: string, services: readonly string[] | undefined): string {
  const isPrefix = typeof text === "string" && text.endsWith("/*");
  const path = checkPlainPath(name, isPrefix ? text.slice(0, -1) : text);
  if (path.includes("*")) throw optionError(name, text, 'have no "*", or one as its last part: "/v1/*"');
  if (isPrefix && path === "/") return "/*";
  // Store a path that consists only of a service name without its trailing slash.
  const own = services?.find((service) => path === service || path === `${service}/`);
  if (own !== undefined && !isPrefix) return own;
  if (services?.some((service) => path.startsWith(`${service}/`)) === false) {
    throw optionError(name, text, `begin with the name of a service: ${services.join(", ")}`);
  }
  return isPrefix ? `${path}*` : path;
}
