/** Names and content codings of what users import, with the name to import. */
const IMPORTS: Readonly<Record<string, readonly [name: string, entry: string]>> = {
  snappy: ["snappy", "snappy"],
  lz4: ["lz4", "lz4"],
  "lz4-frame": ["lz4Frame", "lz4"],
  lz4frame: ["lz4Frame", "lz4"],
  lz4_frame: ["lz4Frame", "lz4"],
  zstd: ["zstd", "zstd"],
};

/** Returns the import statement for a compression by name; undefined for a compression of another package. */
export function importOf(name: unknown): string | undefined {
  const found = typeof name === "string" ? own(IMPORTS, name.toLowerCase()) : undefined;
  return found && `import { ${found[0]} } from "eas-prediction/compression/${found[1]}"`;
}

/** Returns a table's own entry, so that names such as `constructor` have none. */
export function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
