// These functions recognize all values that a caller passes in. `instanceof` would fail for values from another
// realm: an iframe, a `vm` context, or the globals of jest and jsdom.

/** Returns the constructor name of a typed array, such as `"Float32Array"`, or `undefined` for any other value. */
export function typedArrayName(value: unknown): string | undefined {
  // The tag of a `DataView` does not end with "Array".
  const tag = ArrayBuffer.isView(value)
    ? (value as Uint8Array as { [Symbol.toStringTag]: string })[Symbol.toStringTag]
    : "";
  return tag.endsWith("Array") ? tag : undefined;
}

/** Whether a value is a `Uint8Array` from any realm. A Node `Buffer` is also a `Uint8Array`. */
export function isBytes(value: unknown): value is Uint8Array {
  return typedArrayName(value) === "Uint8Array";
}

/** Whether a value is an `ArrayBuffer` from any realm. */
export function isArrayBuffer(value: unknown): value is ArrayBuffer {
  return tagOf(value) === "ArrayBuffer";
}

/** Whether a value is a `Map` from any realm. */
export function isMap(value: unknown): value is ReadonlyMap<unknown, unknown> {
  return tagOf(value) === "Map";
}

/**
 * Whether a value is a `Blob` or `File` from any realm. Checks the members, because happy-dom's Blob does not have a
 * tag.
 */
export function isBlob(value: unknown): value is Blob {
  const { size, slice } = Object(value) as Partial<Blob>;
  return typeof size === "number" && typeof slice === "function";
}

/** Whether a value is a `Response` from any realm or framework. */
export function isResponse(value: unknown): value is Response {
  return tagOf(value) === "Response";
}

/** Returns the class name of a value in its own realm, such as `"Map"` or `"Request"`. */
export function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** Whether a value is an object with fields: not null, and not an array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value is an error from any realm. */
export function isError(value: unknown): value is Error {
  return typeof value === "object" && value !== null && "message" in value && "name" in value;
}

/** Returns the message of any thrown value, including errors from another realm. */
export function messageOf(thrown: unknown): string {
  try {
    const { message } = (typeof thrown === "object" && thrown !== null ? thrown : {}) as { message?: unknown };
    return typeof message === "string" ? message : String(thrown);
  } catch {
    return "an object that has no text form";
  }
}
