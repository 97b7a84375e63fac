import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { bundle, CASES } from "../../scripts/bundles.mjs";

/** Strings that identify each part of the package in a minified bundle. */
const PARTS = {
  tensors: ["DT_FLOAT", "TFRequest", "Float32Array", "BigInt64Array", "a varint is truncated"],
  queue: ["_index_", "x-eas-queueservice-", "DataFrame", "QueueClient", "is not base64"],
  "other tensor formats": ["TorchRequest", "BladeRequest", "CaffeRequest", "OnnxRequest", "toFloat16"],
  recommend: ["EasyRecRequest", "TorchRecRequest", "item id"],
  json: ["JsonRequest", "dataType", "JSON has no NaN"],
  // Loaded by the first call that goes to an instance directly.
  direct: ["/v1/servicediscovery/upstreams/", "the endpointSource", "the other attempt received a response"],
  // Loaded by the first watch.
  watch: ["_watch_", "times in a row", "no pong within", "the queue has ended"],
  // Loaded by the first call with hooks.
  hooks: ["cannot be set by a hook", "retrying in "],
  // Modules for servers only.
  servers: [
    "undici",
    "isomorphic-ws",
    "node:",
    "require(",
    "getBuiltinModule",
    "createHmac",
    "toUTCString",
    "importKey",
  ],
  // Entries of their own.
  entries: [
    "$typeName",
    "google.protobuf.Struct",
    "snappy: corrupt",
    "LZ4",
    "WebAssembly",
    "emulator-token",
    "getImageData",
    "http.client.active_requests",
  ],
} as const;

/** The parts that each bundle contains. It must not contain any other part. */
const HELD: Readonly<Record<string, readonly string[]>> = {
  "string predict": [],
  "+ TF": ["tensors"],
  "+ queue": ["tensors", "queue"],
  everything: ["tensors", "queue", "other tensor formats", "recommend", "json"],
};

/** The other entries of the package, which are only bundled if a page imports them. */
const ENTRIES = [
  "/proto",
  "/compression/snappy",
  "/compression/lz4",
  "/compression/zstd",
  "/emulator/memory",
  "/image",
  "/opentelemetry",
  "/ai",
];

test("the strings exist in the bundles of their parts", async () => {
  const { servers, direct, watch, hooks, ...others } = PARTS;
  const { text } = await bundle(["", ...ENTRIES].map((entry) => `export * from "eas-prediction${entry}";`).join(""));
  expect(
    Object.values<readonly string[]>(others).flatMap((words) => words.filter((word) => !text.includes(word))),
  ).toEqual([]);
  const dist = new URL("../../dist/", import.meta.url);
  const files = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((file) => /\.c?js$/.test(file));
  const all = files.map((file) => readFileSync(new URL(file, dist), "utf8")).join("");
  expect([...servers, ...direct, ...watch, ...hooks].filter((word) => !all.includes(word))).toEqual([]);
});

describe.each(CASES.map(({ name, ...rest }) => [name, rest] as const))("a page with %s", (name, { code, budget }) => {
  const bundled = bundle(code);

  test.each(Object.entries(PARTS))("contains %s only if listed", async (part, words) => {
    const { text } = await bundled;
    const found = words.filter((word) => text.includes(word));
    expect(found).toEqual(HELD[name]?.includes(part) ? words : []);
  });

  test("is within its size budget", async () => {
    expect((await bundled).kB).toBeLessThanOrEqual(budget);
  });

  // A module of the start that a late module shares must be in the list of tsup.config.ts. Otherwise, it would create
  // another file, which compresses separately.
  test("starts with at most two files", async () => {
    expect((await bundled).files).toBeLessThanOrEqual(2);
  });
});
