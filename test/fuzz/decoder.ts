export type Bytes = Uint8Array<ArrayBuffer>;

/** A function that reads untrusted bytes. To add one, add a row in `decoders/`. */
export interface Decoder {
  readonly name: string;
  /** Valid inputs from which the mutator starts. The same `seed` gives the same inputs. */
  samples(seed: number): readonly Bytes[];
  /** Tokens of the format, which are inserted into inputs, and repeated to measure time. */
  readonly pieces: readonly Bytes[];
  /** Text around repeated tokens, so that the decoder reaches them: `["{", "}"]`. */
  readonly around?: readonly (readonly [Bytes, Bytes])[];
  /**
   * Reads the whole `input`. Throws an `EasDecodeError` or an argument error for invalid input. Any other error is a
   * fault of the decoder, such as a wrong result.
   */
  decode(input: Bytes): unknown;
  /** Maximum number of bytes that a limit allows it to allocate for any input. Default 0. */
  readonly limit?: number;
}

/** A row of a table, which overrides the defaults. */
type Row = Omit<Decoder, "pieces"> & Partial<Decoder>;

/** Adds the defaults to rows. */
export function table(common: Pick<Decoder, "pieces"> & Partial<Decoder>, rows: readonly Row[]): readonly Decoder[] {
  return rows.map((row) => ({ ...common, ...row }));
}

export const utf8 = (text: string): Bytes => new TextEncoder().encode(text);
export const fromHex = (hex: string): Bytes => new Uint8Array(Buffer.from(hex, "hex"));
export const textOf = (bytes: Bytes): string => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

/** Throws if a decoded value is wrong. */
export function must(isSo: boolean, what: string): void {
  if (!isSo) throw new Error(`wrong: ${what}`);
}
