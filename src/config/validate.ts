import type { Compression, CompressionCodec, Decompression } from "../formats/request.js";
import type { Transport } from "../platform/contract.js";
import { argumentRangeError, argumentTypeError, optionError, show } from "../util/argument-errors.js";
import { type Auth, MAX_TIMER_MS, type Method, type Preset, type Token } from "./options.js";

/**
 * The compressions that users must import. Each key is a name or content coding that users may pass by mistake. Each
 * value contains the export and the entry point to import it from.
 */
const IMPORTS: Readonly<Record<string, readonly [name: string, entry: string]>> = {
  snappy: ["snappy", "snappy"],
  lz4: ["lz4", "lz4"],
  "lz4-frame": ["lz4Frame", "lz4"],
  lz4frame: ["lz4Frame", "lz4"],
  lz4_frame: ["lz4Frame", "lz4"],
  zstd: ["zstd", "zstd"],
};

const ALL_ENTRIES = "snappy, lz4, lz4Frame and zstd are objects to import from eas-prediction/compression/…";

/** Advice for callers that configure an HTTP agent, a proxy or certificates. */
export const OWN_CONNECTIONS =
  "; for an Agent's settings pass transport: nodeTransport({ connections, proxy, ca, … }) from eas-prediction/node";

const METHODS: readonly Method[] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/** The `auth` values accepted for `client.fetch` and for libraries that use it. Such requests are never signed. */
export const UNSIGNED_AUTHS: readonly Auth[] = ["auto", "token", "bearer"];
const AUTHS: readonly Auth[] = ["auto", "token", "bearer", "signature"];

/**
 * Checks a timeout in milliseconds and returns it. Throws a `RangeError` unless the timeout is above 0 and at most
 * `MAX_TIMER_MS`.
 */
export function checkTimeout(name: string, value: number): number {
  if (typeof value !== "number" || !(value > 0 && value <= MAX_TIMER_MS)) {
    throw argumentRangeError(
      "ERR_EAS_ARG_TIMEOUT",
      `${name} is ${show(value)}: it must be a number of milliseconds above 0 and at most ${MAX_TIMER_MS}, the maximum of timers`,
    );
  }
  return value;
}

/** Checks the name of a preset and returns it. */
export function checkPreset(value: Preset): Preset {
  if (value === "long-running" || value === "default") return value;
  throw optionError("preset", value, 'be "long-running" or "default"');
}

/** Checks an integer of at least `min` and returns it. Throws a `RangeError` for other values. */
export function checkCount(name: string, value: number, min: number): number {
  if (!Number.isSafeInteger(value) || value < min) {
    throw argumentRangeError(
      "ERR_EAS_ARG_OPTION",
      `${name} is ${show(value)}: it must be an integer of at least ${min}`,
    );
  }
  return value;
}

/** Checks a limit in bytes and returns it: `Infinity`, or an integer of at least `min`. Throws a `RangeError` for other values. */
export function checkLimit(name: string, value: number, min: number): number {
  return value === Number.POSITIVE_INFINITY ? value : checkCount(name, value, min);
}

/** Checks an option that is a function and returns it. */
export function checkFunction<T>(name: string, value: T, advice = ""): T {
  if (typeof value !== "function") {
    throw optionError(name, value, `be a function${advice}`);
  }
  return value;
}

/** Checks a boolean option and returns it. */
export function checkBoolean(name: string, value: boolean): boolean {
  if (typeof value !== "boolean") throw optionError(name, value, "be true or false");
  return value;
}

/** Checks a method and returns it. */
export function checkMethod(value: Method): Method {
  if (!METHODS.includes(value)) throw optionError("method", value, `be one of ${METHODS.join(", ")}`);
  return value;
}

/** Checks a transport and returns it. */
export function checkTransport(value: Transport): Transport {
  if (typeof value?.send !== "function") {
    throw optionError("transport", value, `be an object with send()${OWN_CONNECTIONS}`);
  }
  return value;
}

/** Checks an `AbortSignal` from any realm and returns it. */
export function checkSignal(value: AbortSignal): AbortSignal {
  if (typeof value?.aborted !== "boolean" || typeof value.addEventListener !== "function") {
    throw optionError("signal", value, "be an AbortSignal");
  }
  return value;
}

/** Checks an authentication scheme and returns it. */
export function checkAuth(value: Auth, allowed: readonly Auth[] = AUTHS): Auth {
  if (!allowed.includes(value)) {
    // The message omits the value, which may be the token.
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `auth must be one of ${allowed.join(", ")}; pass the token itself in the token option`,
    );
  }
  return value;
}

/** Checks the `token` option and returns it. Throws a `TypeError` whose message never includes the value. */
export function checkToken(value: Token): Token {
  return typeof value === "function" ? value : checkTokenText(value);
}

/** Checks a token's text and returns it. Throws a `TypeError` whose message never includes the value. */
export function checkTokenText(value: unknown): string {
  const fault =
    typeof value !== "string"
      ? `is of type ${typeof value}: pass a string, or a function that returns one`
      : value.trim() === ""
        ? "is empty"
        : /[\r\n]$/.test(value)
          ? "ends with a line break: remove it, for example with trim()"
          : /^bearer\s/i.test(value)
            ? 'begins with "Bearer ": pass the token alone, and set auth: "bearer" if the service expects that form'
            : undefined;
  if (fault === undefined) return value as string;
  const remedy = value === undefined || value === "" ? ". For a service without a token, leave the option out" : "";
  throw argumentTypeError("ERR_EAS_ARG_TOKEN", `token ${fault}${remedy}`);
}

/** Checks a compression and returns it. */
export function checkCompression(value: Compression): Compression {
  if (!isBuiltIn(value) && typeof (value as CompressionCodec | null)?.compress !== "function") {
    throw wrongCompression("compression", value, 'it must be "gzip", "zlib" or an object with name and compress()');
  }
  return value;
}

/** Checks a decompression and returns it. */
export function checkDecompression(value: Decompression): Decompression {
  if (value === "auto" || isBuiltIn(value)) return value;
  if (!Array.isArray(value)) {
    if (typeof (value as CompressionCodec | null)?.decompress === "function") return value;
    const right = 'it must be "auto", "gzip", "zlib", an object with name and decompress(), or a list of such objects';
    throw wrongCompression("decompression", value, right);
  }
  for (const [i, codec] of value.entries()) {
    if (typeof codec?.decompress !== "function" || !Array.isArray(codec.contentCodings)) {
      const right = "it must be an object with name, contentCodings and decompress(); gzip and zlib need not be listed";
      throw wrongCompression(`decompression[${i}]`, codec, right);
    }
  }
  return [...value];
}

function isBuiltIn(value: unknown): value is "gzip" | "zlib" {
  return value === "gzip" || value === "zlib";
}

function wrongCompression(name: string, value: unknown, right: string): TypeError {
  const entry = importOf(value);
  const advice = entry === undefined ? `${right}; ${ALL_ENTRIES}` : `${entry} and pass the object, not its name`;
  return argumentTypeError("ERR_EAS_ARG_OPTION", `${name} is ${show(value)}: ${advice}`);
}

/**
 * Returns the import statement for the compression with this name, or undefined if this package does not have that
 * compression.
 */
export function importOf(name: unknown): string | undefined {
  const key = typeof name === "string" ? name.toLowerCase() : "";
  // Check only own properties, because an inherited name such as "constructor" is not a compression.
  const found = Object.hasOwn(IMPORTS, key) ? IMPORTS[key] : undefined;
  return found && `import { ${found[0]} } from "eas-prediction/compression/${found[1]}"`;
}
