/** Features that the suite tests, in the order of the table in docs/runtimes.md. */
export const FEATURES = {
  predict: "Text, bytes, JSON",
  json: "Objects, Blobs, forms, methods",
  schema: "Responses checked by zod and valibot",
  tensors: "TF, Torch, Blade, Caffe, ONNX",
  recommend: "EasyRec, TorchEasyRec",
  proto: "Protobuf messages of your own",
  token: "Token and Bearer",
  signature: "Signature",
  addresses: "All forms of addresses",
  failures: "Retries, deadlines, abort, typed errors",
  large: "Bodies of 16 MiB, both ways",
  gzip: "gzip and zlib requests",
  answers: "Compressed responses",
  codecs: "Snappy and LZ4",
  zstd: "zstd",
  stream: "Streams: text, lines, events, JSON",
  truncation: "Streams that are cut off are errors",
  pace: "Backpressure from slow readers",
  llm: "LLM services, fetch",
  openai: "The npm package openai",
  socket: "WebSockets of services",
  queue: "Queues",
  websocket: "Watch over WebSocket",
  http: "Watch over HTTP stream",
  poll: "Watch by polling",
  once: "Sent once when a reused connection dies",
  kept: "Nothing lost when a reused connection dies",
  workers: "Workers",
  jobs: "Jobs: JSON, typed results, states, run",
  relay: "Relay that keeps the token",
  server: "Relay on its own server",
  limits: "Fair limit of connections",
  pool: "The SDK's own connection pool",
  memory: "Emulator in memory",
  images: "Images: raw pixels",
  canvas: "Images: canvas, Blob, ImageBitmap",
  upload: "Upload progress",
  page: "Errors of pages: CORS, hidden redirects",
} as const;

export type Feature = keyof typeof FEATURES;

/** All runtimes that the suite runs on, with their names in the table. */
export const RUNTIMES = {
  node20: "Node 20",
  node22: "Node 22",
  node24: "Node 24",
  deno: "Deno",
  bun: "Bun",
  workerd: "workerd",
  "edge-vm": "Edge VM",
  chromium: "Chromium",
  firefox: "Firefox",
  webkit: "WebKit",
} as const;

export type RuntimeName = keyof typeof RUNTIMES;

const BROWSERS: Readonly<Partial<Record<Feature, string>>> = {
  signature: "pages cannot set the Date header that is signed",
  socket: "pages cannot send headers with a WebSocket",
  websocket: "pages cannot send headers with a WebSocket",
  pool: "the browser has its own",
  pace: "browsers read ahead by themselves",
  server: "a relay is for servers",
  once: "browsers resend requests by themselves: consumers recognize a copy of a put by its request id (`skipRepeated`)",
};
const NO_PAGE = { page: "no page", canvas: "no canvas to decode with", upload: "no XMLHttpRequest" };
const NO_POOL = "fetch has its own";

/** Features that a runtime lacks, and why. There the suite tests that the refusal has an explanatory message. */
export const ABSENT: Readonly<Record<RuntimeName, Readonly<Partial<Record<Feature, string>>>>> = {
  node20: NO_PAGE,
  node22: NO_PAGE,
  node24: NO_PAGE,
  deno: { ...NO_PAGE, pool: NO_POOL },
  bun: { ...NO_PAGE, pool: NO_POOL },
  workerd: { ...NO_PAGE, pool: NO_POOL },
  "edge-vm": {
    ...NO_PAGE,
    pool: NO_POOL,
    gzip: "no CompressionStream",
    zstd: "no WebAssembly from bytes",
    openai: "the package reads process.version",
  },
  chromium: BROWSERS,
  firefox: BROWSERS,
  webkit: BROWSERS,
};
