import { LENGTH_DELIMITED, MAP_KEY, MAP_VALUE } from "../protobuf/wire.js";
import type { WireReader } from "../protobuf/wire-reader.js";

/**
 * Reads an entry of a map with string keys. `empty` creates the value for an entry that does not contain one.
 * `readValue` reads a value and receives the entry's previous value, so that it can merge messages. If several entries
 * have the same key, the last one is used. A missing key is treated as the empty string.
 */
export function readEntry<V>(
  reader: WireReader,
  into: Map<string, V>,
  empty: () => V,
  readValue: (before: V) => V,
): void {
  reader.nested(() => {
    let key = "";
    let value = empty();
    while (reader.tag()) {
      if (reader.wireType !== LENGTH_DELIMITED) reader.skip();
      else if (reader.field === MAP_KEY) key = reader.name();
      else if (reader.field === MAP_VALUE) value = readValue(value);
      else reader.skip();
    }
    into.set(key, value);
  });
}

/** Reads an entry of a map from strings to strings. */
export function readTextEntry(reader: WireReader, into: Map<string, string>): void {
  readEntry(
    reader,
    into,
    () => "",
    () => reader.text(),
  );
}
