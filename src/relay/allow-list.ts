import { optionError } from "../argument-errors.js";
import { checkText, encodePath } from "../endpoint/path.js";

/** What a relay can be told to pass on. It answers `OPTIONS` itself. */
export type RelayMethod = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

/** All methods that a rule may have. */
export const METHODS: readonly RelayMethod[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/** Requests that a relay passes on: those that have one of the methods and one of the paths. */
export interface RelayRule {
  /** Default `["POST"]`. */
  readonly methods?: readonly RelayMethod[] | undefined;
  /**
   * Paths behind the service, without a query: each exact, such as `"/v1/chat/completions"`, or with one `*` at its end, as
   * `"/v1/*"`, which stands for all that begins with `/v1/`. `"/"` is the service itself. With `services` each begins with
   * the name: `"/jobs"`, `"/jobs/sink"`, `"/chat/v1/*"`.
   */
  readonly paths: readonly string[];
}

/** Knows which methods and paths may pass. A query is not looked at. */
export class AllowList {
  readonly #exact = new Set<string>();
  readonly #prefixes: (readonly [method: string, prefix: string])[] = [];

  /** `services` are the paths of the services, with which those of the rules must begin; undefined where there is but one. */
  constructor(rules: readonly RelayRule[], services: readonly string[] | undefined) {
    if (!Array.isArray(rules) || rules.length === 0) {
      throw optionError(
        "allow",
        rules,
        'be a list such as [{ methods: ["POST"], paths: ["/"] }]: nothing else is passed on',
      );
    }
    for (const [i, rule] of rules.entries()) this.#add(`allow[${i}]`, rule, services);
  }

  #add(name: string, rule: RelayRule, services: readonly string[] | undefined): void {
    const { methods = ["POST"], paths } = rule ?? {};
    if (!Array.isArray(methods) || methods.length === 0 || !methods.every((method) => METHODS.includes(method))) {
      const wrong = Array.isArray(methods) ? methods.find((method) => !METHODS.includes(method)) : methods;
      throw optionError(`${name}.methods`, wrong, `be a list of some of ${METHODS.join(", ")}, in capitals`);
    }
    if (!Array.isArray(paths) || paths.length === 0) {
      throw optionError(`${name}.paths`, paths, 'be a list of paths such as ["/", "/v1/*"]');
    }
    for (const text of paths) {
      const path = checkRulePath(`${name}.paths`, text, services);
      for (const method of methods) {
        if (path.endsWith("*")) this.#prefixes.push([method, path.slice(0, -1)]);
        else this.#exact.add(`${method} ${path}`);
      }
    }
  }

  /** Whether this path, which is the one that is sent, may be asked for. */
  allows(method: string, path: string): boolean {
    if (!isPlainPath(path)) return false;
    return (
      this.#exact.has(`${method} ${path}`) ||
      this.#prefixes.some(([allowed, prefix]) => allowed === method && path.startsWith(prefix))
    );
  }
}

/**
 * Whether every server on the way reads a path as it is written here. Else what passes as "/v1/x" may arrive as something else:
 * servers decode escapes before they resolve ".." or look for "?", some twice; take a backslash, or a full-width slash, for a slash; drop
 * what follows ";" in a segment; or join slashes.
 */
export function isPlainPath(path: string): boolean {
  let text: string;
  try {
    text = decodeURIComponent(path).normalize("NFKC");
  } catch {
    return false;
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (!path.startsWith("/") || /[\x00-\x1f\x7f\\%?#]/.test(text)) return false;
  const segments = text.split("/").slice(1);
  return segments.every(
    (segment, i) => (segment !== "" || i === segments.length - 1) && !/^\s*\.{1,2}\s*(;|$)/.test(segment),
  );
}

/** Checks a path that was configured, and returns it as it stands in a URL. `name` names it in the error. */
export function checkPlainPath(name: string, text: string): string {
  if (typeof text === "string") {
    checkText("ERR_EAS_ARG_OPTION", name, text);
    const path = encodePath(text);
    if (isPlainPath(path)) return path;
  }
  throw optionError(name, text, 'begin with a slash, as "/v1/chat", and have no query, empty part or ".."');
}

function checkRulePath(name: string, text: string, services: readonly string[] | undefined): string {
  const isPrefix = typeof text === "string" && text.endsWith("/*");
  const path = checkPlainPath(name, isPrefix ? text.slice(0, -1) : text);
  if (path.includes("*")) throw optionError(name, text, 'have no "*", or one as its last part: "/v1/*"');
  if (isPrefix && path === "/") return "/*";
  // The service itself, as it is without the slash.
  const own = services?.find((service) => path === service || path === `${service}/`);
  if (own !== undefined && !isPrefix) return own;
  if (services?.some((service) => path.startsWith(`${service}/`)) === false) {
    throw optionError(name, text, `begin with the name of a service: ${services.join(", ")}`);
  }
  return isPrefix ? `${path}*` : path;
}
