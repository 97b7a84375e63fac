// Services of the counterpart's emulator, by kind. Each test of the suite creates its own.
import { deflateSync, gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { PredictRequestSchema, PredictResponseSchema } from "../../dist/proto/tf.js";

const echo = ({ body }) => body;

/** Returns the received tensors, with the generated code instead of the SDK's codec. */
function answerTensors({ body }) {
  const { inputs } = fromBinary(PredictRequestSchema, body);
  return toBinary(PredictResponseSchema, create(PredictResponseSchema, { outputs: inputs }));
}

/** Returns the received request as JSON. */
function answerHeaders({ service, path, query, headers }) {
  const text = query.toString();
  const url = `/api/predict/${service}${path}${text === "" ? "" : `?${text}`}`;
  return JSON.stringify({ url, headers: Object.fromEntries(headers) });
}

/** Returns the received request and the fields of its form as JSON. */
async function reflect({ method, path, headers, body }) {
  const type = headers.get("content-type");
  const seen = { method, path, type, accept: headers.get("accept"), body: new TextDecoder().decode(body) };
  if (!type?.startsWith("multipart/")) return JSON.stringify(seen);
  const form = await new Response(body, { headers: { "content-type": type } }).formData();
  const fields = [...form].map(async ([name, value]) => [
    name,
    typeof value === "string" ? value : [value.name, value.type, await value.text()],
  ]);
  return JSON.stringify({ ...seen, form: await Promise.all(fields) });
}

function encoded(coding, compress) {
  return ({ body }) => new Response(compress(body), { headers: { "content-encoding": coding } });
}

const streams = new Map();

/**
 * Streams: each call of "/step" adds its body, and "/end" ends the stream. The call's response says whether a stream
 * was open.
 */
function answerStepwise({ service, path, body }) {
  if (path === "/stream") {
    const stream = new ReadableStream({
      start: (controller) => streams.set(service, controller),
      cancel: () => streams.delete(service),
    });
    return new Response(stream, { headers: { "content-type": "text/event-stream" } });
  }
  const controller = streams.get(service);
  if (path === "/step") controller?.enqueue(body);
  else {
    controller?.close();
    streams.delete(service);
  }
  return controller === undefined ? "gone" : "there";
}

const BOMB = gzipSync(new Uint8Array(50_000_000));

/** Sends chunks on demand. `next` returns a chunk, or undefined to wait indefinitely. */
function pieces(next) {
  return new Response(
    new ReadableStream(
      {
        async pull(controller) {
          const piece = await next();
          if (piece === undefined) controller.close();
          else controller.enqueue(piece);
        },
      },
      { highWaterMark: 0 },
    ),
  );
}

/** Returns the body with each byte in a separate chunk. */
function inChunks({ body }) {
  let at = 0;
  return pieces(async () => {
    // Waits, so that the chunks are not joined.
    await new Promise((resolve) => setImmediate(resolve));
    return at < body.length ? body.slice(at, ++at) : undefined;
  });
}

/** Returns the body as an event stream with each event in a separate chunk. */
function inEvents({ body }) {
  const events = new TextDecoder().decode(body).split(/(?<=\n\n)/);
  const { body: stream } = pieces(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    const event = events.shift();
    return event && new TextEncoder().encode(event);
  });
  return new Response(stream, { headers: { "content-type": "text/event-stream" } });
}

const soon = () => new Promise((resolve) => setTimeout(resolve, 10));

/** Bytes that the service `flood` has sent, by the caller's `id`. */
const flooded = new Map();
const BLOCK = new Uint8Array(65_536);

/** Services by kind. */
export const SERVICES = {
  pieces: { handle: inChunks, methods: ["POST"] },
  events: { handle: inEvents, methods: ["POST"] },
  endless: { handle: () => pieces(() => soon().then(() => new TextEncoder().encode("piece"))) },
  stalls: {
    handle() {
      let sent = false;
      return pieces(() => {
        if (sent) return new Promise(() => {});
        sent = true;
        return new TextEncoder().encode("first");
      });
    },
  },
  flood: {
    handle({ query }) {
      const id = query.get("id");
      return pieces(() => {
        const sent = flooded.get(id) ?? 0;
        if (sent >= 4096 * BLOCK.length) return undefined;
        flooded.set(id, sent + BLOCK.length);
        return BLOCK;
      });
    },
  },
  flooded: { handle: ({ query }) => String(flooded.get(query.get("id")) ?? 0) },
  echo: { handle: echo },
  tensors: { handle: answerTensors },
  headers: { handle: answerHeaders },
  reflect: { handle: reflect, methods: ["GET", "POST", "PUT", "PATCH", "DELETE"] },
  stepwise: { handle: answerStepwise },
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

/** Functions of asynchronous inference services, by kind. */
export const QUEUE_SERVICES = {
  upper({ body }) {
    const text = new TextDecoder().decode(body);
    if (text === "fail") return new Response("no", { status: 500 });
    return text.toUpperCase();
  },
  tensors: answerTensors,
  reflect: ({ headers, body }) =>
    JSON.stringify({ type: headers.get("content-type"), body: new TextDecoder().decode(body) }),
};
