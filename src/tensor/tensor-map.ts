import { show } from "../errors.js";
import { type ArrayFormat, encodeArray } from "./array-proto.js";
import type { EncodedField } from "./encode-values.js";
import { RawTensor } from "./raw-tensor.js";
import type { Tensor } from "./tensor.js";
import { delimitedSize, LENGTH_DELIMITED, type WireReader } from "./wire.js";

const MAP_KEY = 1;
const MAP_VALUE = 2;

/** Checks named tensors and computes the size of the `map<string, ArrayProto>` field that holds them. */
export function encodeTensorMap(field: number, feeds: ReadonlyMap<string, Tensor>, format: ArrayFormat): EncodedField {
  const encoder = new TextEncoder();
  let size = 0;
  const entries = Array.from(feeds, ([name, tensor]) => {
    const key = encoder.encode(name);
    const array = encodeArray(format, tensor, `input ${show(name)}`);
    const length = delimitedSize(MAP_KEY, key.length) + delimitedSize(MAP_VALUE, array.size);
    size += delimitedSize(field, length);
    return { key, array, length };
  });
  return {
    size,
    write(writer) {
      for (const { key, array, length } of entries) {
        writer.tag(field, LENGTH_DELIMITED);
        writer.varint(length);
        writer.delimited(MAP_KEY, key);
        writer.tag(MAP_VALUE, LENGTH_DELIMITED);
        writer.varint(array.size);
        array.write(writer);
      }
    },
  };
}

/**
 * Reads one entry of a `map<string, tensor>`. Of two entries with one key the last holds, whole; a key that is left out
 * is the empty text; key and value may come in either order.
 */
export function readTensorMap(
  reader: WireReader,
  into: Map<string, RawTensor>,
  readValue: (raw: RawTensor) => void,
): void {
  reader.nested(() => {
    let key = "";
    const values: { position: number }[] = [];
    while (reader.tag()) {
      if (reader.field === MAP_KEY && reader.wireType === LENGTH_DELIMITED) key = reader.text();
      else {
        if (reader.field === MAP_VALUE && reader.wireType === LENGTH_DELIMITED) {
          values.push({ position: reader.position });
        }
        reader.skip();
      }
    }
    // Read after the key is known, which errors name.
    const raw = new RawTensor(reader.bytes, `output ${show(key)}`);
    const { position } = reader;
    for (const value of values) {
      reader.position = value.position;
      reader.nested(() => readValue(raw));
    }
    reader.position = position;
    into.set(key, raw);
  });
}
