/** Counts the bytes that array constructors allocate. Views of existing memory do not count. */
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

/** Replaces the global classes by counting subclasses, for all modules that are loaded later. */
export function countAllocations(): void {
  for (const name of CLASSES) {
    const real = globalThis[name] as unknown as new (...args: unknown[]) => ArrayBufferView | ArrayBuffer;
    const counting = new Proxy(real, {
      construct(target, args, newTarget) {
        const [first] = args as [unknown];
        // Counted before the allocation, so that an allocation that fails counts too.
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

/** Returns the bytes counted since the last call. */
export function takeCounted(): number {
  const bytes = counted;
  counted = 0;
  return bytes;
}
