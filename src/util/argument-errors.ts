/** The `code` of a `TypeError` or `RangeError` for a bad argument; it is thrown before anything is sent. */
export type EasArgumentErrorCode =
  | "ERR_EAS_ARG_ENDPOINT"
  | "ERR_EAS_ARG_SERVICE_NAME"
  | "ERR_EAS_ARG_TOKEN"
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

/** A `TypeError` for an argument of the wrong kind. */
export function argumentTypeError(code: EasArgumentErrorCode, message: string): TypeError {
  return Object.assign(new TypeError(message), { code });
}

/** A `RangeError` for an argument of the right kind with an impossible value. */
export function argumentRangeError(code: EasArgumentErrorCode, message: string): RangeError {
  return Object.assign(new RangeError(message), { code });
}

/** A `TypeError` for an option that cannot be right; `right` says what it must do: "be a function". */
export function optionError(name: string, value: unknown, right: string): TypeError {
  return argumentTypeError("ERR_EAS_ARG_OPTION", `${name} is ${show(value)}: it must ${right}`);
}

/** A value as it can stand in a message: short, and never an object's content. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  // Not its text, which is all of its source.
  if (typeof value === "function") return value.name === "" ? "an anonymous function" : `the function ${value.name}`;
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) {
    const name = value.constructor?.name ?? "Object";
    return name === "Object" ? "a plain object" : `an instance of ${name || "an anonymous class"}`;
  }
  return String(value);
}

/** As `show`, for the text of a URL or a part of one: without its query, which may hold what belongs in no log. */
export function showUrl(text: unknown): string {
  const cut = typeof text === "string" ? text.search(/[?#]/) : -1;
  return show(cut === -1 ? text : `${(text as string).slice(0, cut + 1)}…`);
}
