export type Bytes = Uint8Array<ArrayBuffer>;

/** Something that reads bytes which others have made. A new one is one more row in `decoders/`. */
export interface Decoder {
  readonly name: string;
  /** Inputs that can be read, which the mutator starts from. `seed` makes random ones again. */
  samples(seed: number): readonly Bytes[];
  /** Pieces that mean something to it: put into inputs, and repeated when time is measured. */
  readonly pieces: readonly Bytes[];
  /** What stands around repeated pieces, so that they are reached: `["{", "}"]`. */
  readonly around?: readonly (readonly [Bytes, Bytes])[];
  /**
   * Reads all that is in `input`. Throws an `EasDecodeError` or an error of an argument for what cannot be read, and any
   * other error where something is wrong with the decoder, also where what it gave is wrong.
   */
  decode(input: Bytes): unknown;
  /** The most bytes that a limit lets it take, whatever the input's size. Default 0. */
  readonly limit?: number;
}

/** A row of a table, which says itself what the others say in common. */
type Row = Omit<Decoder, "pieces"> & Partial<Decoder>;

/** Rows with what they have in common. */
export function table(common: Pick<Decoder, "pieces"> & Partial<Decoder>, rows: readonly Row[]): readonly Decoder[] {
  return rows.map((row) => ({ ...common, ...row }));
}

export const utf8 = (text: string): Bytes => new TextEncoder().encode(text);
export const fromHex = (hex: string): Bytes => new Uint8Array(Buffer.from(hex, "hex"));
export const textOf = (bytes: Bytes): string => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

/** Fails where something that was read is not what it must be. */
export function must(isSo: boolean, what: string): void {
  if (!isSo) throw new Error(`wrong: ${what}`);
}
