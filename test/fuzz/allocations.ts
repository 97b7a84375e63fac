/** Counts the bytes of memory that arrays are made with, by their constructors; views of memory that is there take none. */
const CLASSES = [
  "ArrayBuffer",
  "Uint8Array",
  "Uint8ClampedArray",
  "Uint16Array",
  "Uint32Array",
  "Int8Array",
  "Int16Array",
  "Int32Array",
  "Float32Array",
  "Float64Array",
  "BigInt64Array",
  "BigUint64Array",
] as const;

let counted = 0;

/** Puts the counting in the place of the global classes; modules that are loaded later see no difference. */
export function countAllocations(): void {
  for (const name of CLASSES) {
    const real = globalThis[name] as unknown as new (...args: unknown[]) => ArrayBufferView | ArrayBuffer;
    const counting = new Proxy(real, {
      construct(target, args, newTarget) {
        const [first] = args as [unknown];
        // Before it is made: what is far too large must be counted although it cannot be.
        if (typeof first === "number")
          counted += first * ((real as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1);
        const made = Reflect.construct(target, args, newTarget) as ArrayBufferView;
        if (typeof first !== "number" && !(first instanceof ArrayBuffer)) counted += made.byteLength;
        return made;
      },
    });
    Object.defineProperty(globalThis, name, { value: counting, writable: true, configurable: true });
  }
}

/** The bytes counted since the last question. */
export function takeCounted(): number {
  const bytes = counted;
  counted = 0;
  return bytes;
}
