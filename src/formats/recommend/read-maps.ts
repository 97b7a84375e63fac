import { LENGTH_DELIMITED, MAP_KEY, MAP_VALUE } from "../protobuf/wire.js";
import type { WireReader } from "../protobuf/wire-reader.js";

/**
 * Reads one entry of a map from texts to texts or messages. `empty` makes what a value is before anything was read;
 * `readValue` reads a value that comes, and is given what the same entry had before, which a message merges with. Of two
 * entries with one key the last holds, whole; a key that is left out is the empty text.
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

/** Reads one entry of a map from texts to texts. */
export function readTextEntry(reader: WireReader, into: Map<string, string>): void {
  readEntry(
    reader,
    into,
    () => "",
    () => reader.text(),
  );
}
