import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { KINDS, type Sample, type WireValues } from "./tensors.js";

// Writes response bodies in every layout that protobuf allows: fields in any order, packed or not, split, with unknown
// fields between them. Uses the general writer and nothing of the reader under test.

export type Gen = fc.GeneratorValue;
export type Write = (writer: BinaryWriter) => void;

/** The freedom of a layout. */
export interface Freedom {
  /**
   * Whether to use only layouts that the generated code reads correctly. It does not skip unknown fields in a map's
   * entry, and does not check wire types. It takes the last of two values of an entry, where protobuf merges them.
   */
  readonly asGenerated: boolean;
}

export interface ValueField {
  readonly number: number;
  readonly type: WireType;
  element(writer: BinaryWriter, value: never): BinaryWriter;
}

export const VALUE_FIELDS: Readonly<Record<keyof WireValues, ValueField>> = {
  floatVal: { number: 3, type: WireType.Bit32, element: (writer, value) => writer.float(value) },
  doubleVal: { number: 4, type: WireType.Bit64, element: (writer, value) => writer.double(value) },
  intVal: { number: 5, type: WireType.Varint, element: (writer, value) => writer.int32(value) },
  stringVal: { number: 6, type: WireType.LengthDelimited, element: (writer, value) => writer.bytes(value) },
  int64Val: { number: 7, type: WireType.Varint, element: (writer, value) => writer.int64(value) },
  boolVal: { number: 8, type: WireType.Varint, element: (writer, value) => writer.bool(value) },
};

export const DIM: ValueField = { number: 1, type: WireType.Varint, element: (writer, value) => writer.int64(value) };

/** Writes the body of a TF response. */
export function tfBody(
  g: Gen,
  outputs: readonly (readonly [string, Sample])[],
  freedom: Freedom,
): Uint8Array<ArrayBuffer> {
  return message(g, [mapEntries(g, 1, outputs, freedom)], 2);
}

/** Writes the body of a Torch response. */
export function torchBody(
  g: Gen,
  outputs: readonly Sample[],
  named: readonly (readonly [string, Sample])[],
  freedom: Freedom,
): Uint8Array<ArrayBuffer> {
  const indexed = outputs.map(
    (sample): Write =>
      (writer) =>
        nested(writer, 1, array(g, sample, freedom)),
  );
  return message(g, [indexed, mapEntries(g, 2, named, freedom)], 3);
}

/**
 * Writes lists of parts. Each list keeps its order, but they are mixed with each other and with unknown fields from
 * `unknownFrom` on.
 */
export function message(g: Gen, lists: readonly (readonly Write[])[], unknownFrom: number): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  const left = lists.map((list) => [...list]).filter((list) => list.length > 0);
  while (left.length > 0) {
    if (unknownFrom > 0 && g(fc.nat, { max: 3 }) === 0) unknown(g, writer, unknownFrom);
    const at = g(fc.nat, { max: left.length - 1 });
    const list = left[at] as Write[];
    list.shift()?.(writer);
    if (list.length === 0) left.splice(at, 1);
  }
  if (unknownFrom > 0 && g(fc.boolean)) unknown(g, writer, unknownFrom);
  return writer.finish();
}

export function nested(writer: BinaryWriter, field: number, bytes: Uint8Array): void {
  writer.tag(field, WireType.LengthDelimited).bytes(bytes);
}

function mapEntries(g: Gen, field: number, outputs: readonly (readonly [string, Sample])[], freedom: Freedom): Write[] {
  return outputs.flatMap(([name, sample]) => {
    const write: Write = (writer) => nested(writer, field, mapEntry(g, name, sample, freedom));
    // An earlier entry with the same key and an empty tensor, which is replaced as a whole.
    const earlier: Write = (writer) =>
      nested(writer, field, message(g, [[key(name)], [(w) => nested(w, 2, new Uint8Array(0))]], 0));
    return g(fc.nat, { max: 4 }) === 0 ? [earlier, write] : [write];
  });
}

const key =
  (name: string): Write =>
  (writer) =>
    writer.tag(1, WireType.LengthDelimited).string(name);

function mapEntry(g: Gen, name: string, sample: Sample, freedom: Freedom): Uint8Array {
  const pieces = arrayPieces(g, sample, freedom);
  // An empty key can be left out.
  const keys = name === "" && g(fc.boolean) ? [] : [key(name)];
  if (freedom.asGenerated || g(fc.boolean)) {
    return message(g, [keys, [(writer) => nested(writer, 2, message(g, pieces, 9))]], freedom.asGenerated ? 0 : 3);
  }
  // Two values in an entry are two parts of one message.
  const first = pieces.map((list) => list.slice(0, Math.ceil(list.length / 2)));
  const second = pieces.map((list) => list.slice(Math.ceil(list.length / 2)));
  const values = [first, second].map(
    (part): Write =>
      (writer) =>
        nested(writer, 2, message(g, part, 9)),
  );
  return message(g, [keys, values], 3);
}

const array = (g: Gen, sample: Sample, freedom: Freedom): Uint8Array => message(g, arrayPieces(g, sample, freedom), 9);

/** An `ArrayProto` as lists of parts in order: dtype, shape and values. */
function arrayPieces(g: Gen, { tensor, wire }: Sample, { asGenerated }: Freedom): Write[][] {
  const dtype: Write = (writer) => writer.tag(1, WireType.Varint).int32(KINDS[tensor.dtype].number);
  // The last of two dtypes counts.
  const dtypes =
    g(fc.nat, { max: 4 }) === 0 ? [((writer) => writer.tag(1, WireType.Varint).int32(2)) as Write, dtype] : [dtype];
  const dims = tensor.shape.map(BigInt);
  const cut = g(fc.nat, { max: dims.length });
  const shapes = [dims.slice(0, cut), dims.slice(cut)].map(
    (part): Write =>
      (writer) =>
        nested(writer, 2, message(g, [chunks(g, DIM, part)], 2)),
  );
  const values = Object.entries(wire).flatMap(([field, list]) =>
    chunks(g, VALUE_FIELDS[field as keyof WireValues], list as unknown[]),
  );
  const lists = [dtypes, shapes, values];
  // A known field number with another wire type is an unknown field.
  if (!asGenerated && g(fc.boolean)) {
    lists.push([
      (writer) => writer.tag(2, WireType.Varint).uint32(7),
      (writer) => writer.tag(3, WireType.Bit64).fixed64(7),
    ]);
  }
  return lists;
}

/** A repeated field in parts, each packed (also empty) or element by element. Bytes are never packed. */
export function chunks(g: Gen, { number, type, element }: ValueField, values: readonly unknown[]): Write[] {
  const alone =
    (value: unknown): Write =>
    (writer) =>
      element(writer.tag(number, type), value as never);
  if (type === WireType.LengthDelimited) return values.map(alone);
  const writes: Write[] = [];
  for (let at = 0; at < values.length || g(fc.nat, { max: 9 }) === 0; ) {
    const part = values.slice(at, at + g(fc.nat, { max: values.length - at }));
    at += part.length;
    if (g(fc.boolean)) {
      writes.push((writer) => {
        const packed = writer.tag(number, WireType.LengthDelimited).fork();
        for (const value of part) element(packed, value as never);
        packed.join();
      });
    } else {
      writes.push(...part.map(alone));
    }
  }
  return writes;
}

/** Writes an unknown field of any wire type. */
function unknown(g: Gen, writer: BinaryWriter, from: number, depth = 0): void {
  const number = g(fc.constantFrom, from, from + 1, 99, 2_048, 536_870_911);
  switch (g(fc.nat, { max: depth < 3 ? 4 : 3 })) {
    case 0:
      writer.tag(number, WireType.Varint).int64(g(fc.bigInt, { min: -(2n ** 63n), max: 2n ** 63n - 1n }));
      break;
    case 1:
      writer.tag(number, WireType.Bit64).fixed64(g(fc.bigInt, { min: 0n, max: 2n ** 64n - 1n }));
      break;
    case 2:
      writer.tag(number, WireType.LengthDelimited).bytes(g(fc.uint8Array, { maxLength: 20 }));
      break;
    case 3:
      writer.tag(number, WireType.Bit32).fixed32(g(fc.nat, { max: 0xffff_ffff }));
      break;
    default: {
      writer.tag(number, WireType.StartGroup);
      for (let members = g(fc.nat, { max: 3 }); members > 0; members--) unknown(g, writer, 1, depth + 1);
      writer.tag(number, WireType.EndGroup);
    }
  }
}
