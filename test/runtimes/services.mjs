// The services behind the counterpart's emulator, by kind: each test of the suite gets some of its own.
import { deflateSync, gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { PredictRequestSchema, PredictResponseSchema } from "../../dist/proto/tf.js";

const echo = ({ body }) => body;

/** Answers the tensors that it was sent, by the generated code and not by the SDK's own codec. */
function answerTensors({ body }) {
  const { inputs } = fromBinary(PredictRequestSchema, body);
  return toBinary(PredictResponseSchema, create(PredictResponseSchema, { outputs: inputs }));
}

/** Answers what it saw of the request, in JSON. */
function answerHeaders({ service, path, query, headers }) {
  const text = query.toString();
  const url = `/api/predict/${service}${path}${text === "" ? "" : `?${text}`}`;
  return JSON.stringify({ url, headers: Object.fromEntries(headers) });
}

function encoded(coding, compress) {
  return ({ body }) => new Response(compress(body), { headers: { "content-encoding": coding } });
}

const BOMB = gzipSync(new Uint8Array(50_000_000));

/** What a service of each kind is. */
export const SERVICES = {
  echo: { handle: echo },
  tensors: { handle: answerTensors },
  headers: { handle: answerHeaders },
  slow: { handle: ({ body }) => new Promise((resolve) => setTimeout(resolve, 100, body)) },
  gzip: { handle: echo, decompressor: "gzip" },
  zlib: { handle: echo, decompressor: "zlib" },
  snappy: { handle: echo, decompressor: "snappy", compressor: "snappy" },
  "lz4-frame": { handle: echo, decompressor: "lz4", compressor: "lz4-frame" },
  zstd: { handle: echo, decompressor: "zstd", compressor: "zstd" },
  "answers-gzip": { handle: encoded("gzip", gzipSync) },
  "answers-deflate": { handle: encoded("deflate", deflateSync) },
  bomb: { handle: () => new Response(BOMB, { headers: { "content-encoding": "gzip" } }) },
};

/** What an asynchronous inference service of each kind computes. */
export const QUEUE_SERVICES = {
  upper({ body }) {
    const text = new TextDecoder().decode(body);
    if (text === "fail") return new Response("no", { status: 500 });
    return text.toUpperCase();
  },
};
