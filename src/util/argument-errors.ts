/** The `code` of a `TypeError` or `RangeError` for an invalid argument, which is thrown before anything is sent. */
export type EasArgumentErrorCode =
  | "ERR_EAS_ARG_ENDPOINT"
  | "ERR_EAS_ARG_SERVICE_NAME"
  | "ERR_EAS_ARG_TOKEN"
  | "ERR_EAS_ARG_CREDENTIALS"
  | "ERR_EAS_ARG_HEADER"
  | "ERR_EAS_ARG_PATH"
  | "ERR_EAS_ARG_QUERY"
  | "ERR_EAS_ARG_TIMEOUT"
  | "ERR_EAS_ARG_OPTION"
  | "ERR_EAS_ARG_REQUEST"
  | "ERR_EAS_ARG_BODY_SIZE"
  | "ERR_EAS_ARG_FEED"
  | "ERR_EAS_ARG_SHAPE"
  | "ERR_EAS_ARG_DTYPE"
  | "ERR_EAS_ARG_CONTENT"
  | "ERR_EAS_ARG_OUTPUT"
  | "ERR_EAS_ARG_INDEX"
  | "ERR_EAS_ARG_TAG"
  | "ERR_EAS_ARG_WATCH";

/** Creates a `TypeError` for an argument of the wrong type or form. */
export function argumentTypeError(code: EasArgumentErrorCode, message: string): TypeError {
  return Object.assign(new TypeError(message), { code });
}

/** Creates a `RangeError` for an argument that has the right type but is out of range. */
export function argumentRangeError(code: EasArgumentErrorCode, message: string): RangeError {
  return Object.assign(new RangeError(message), { code });
}

/**
 * Creates a `TypeError` for an invalid option. `requirement` completes the phrase "it must …", for example "be a
 * function".
 */
export function optionError(name: string, value: unknown, requirement: string): TypeError {
  return argumentTypeError("ERR_EAS_ARG_OPTION", `${name} is ${show(value)}: it must ${requirement}`);
}

/** Formats a value for an error message. Shows at most 80 characters of text and never the content of an object. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  // Show only the name, because `String(value)` would return the function's source code.
  if (typeof value === "function") return value.name === "" ? "an anonymous function" : `the function ${value.name}`;
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) {
    const name = value.constructor?.name ?? "Object";
    return name === "Object" ? "a plain object" : `an instance of ${name || "an anonymous class"}`;
  }
  return String(value);
}

/** Formats a URL or part of a URL like `show`, but omits the query and fragment, which may contain secrets. */
export function showUrl(text: unknown): string {
  const cut = typeof text === "string" ? text.search(/[?#]/) : -1;
  return show(cut === -1 ? text : `${(text as string).slice(0, cut + 1)}…`);
}
