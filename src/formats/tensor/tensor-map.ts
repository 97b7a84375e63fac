import { show } from "../../util/argument-errors.js";
import { type EncodedField, joined, message, text } from "../protobuf/encoded-field.js";
import { LENGTH_DELIMITED, MAP_KEY, MAP_VALUE } from "../protobuf/wire.js";
import type { WireReader } from "../protobuf/wire-reader.js";
import { type ArrayFormat, encodeArray } from "./array-proto.js";
import { RawTensor } from "./raw-tensor.js";
import type { Tensor } from "./tensor.js";

/** Checks named tensors and makes them the `map<string, ArrayProto>` field. */
export function encodeTensorMap(field: number, feeds: ReadonlyMap<string, Tensor>, format: ArrayFormat): EncodedField {
  return joined(
    Array.from(feeds, ([name, tensor]) =>
      message(field, [text(MAP_KEY, name), encodeArray(format, MAP_VALUE, tensor, `input ${show(name)}`)]),
    ),
  );
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
      if (reader.field === MAP_KEY && reader.wireType === LENGTH_DELIMITED) key = reader.name();
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
