import { gzipSync } from "node:zlib";
import { endConnection, resetConnection } from "../../src/emulator/faults.js";
import type { EmulatorCall } from "../../src/emulator/index.js";

// An engine that responds according to the header `x-case`, like the engine with which the gateways were recorded.

type Answer = (call: EmulatorCall) => Response;

const encoder = new TextEncoder();
const COMMON = { date: "Wed, 07 Jan 2026 12:00:00 GMT", server: "uvicorn" };
const JSON_TYPE = "application/json";

/** The error that ends an incomplete body, as seen by the gateway. */
const ENDS = { complete: undefined, reset: resetConnection, end: endConnection };

function chunked(
  contentType: string,
  chunks: readonly (string | Uint8Array)[],
  end: keyof typeof ENDS = "complete",
  status = 200,
  headers: Record<string, string> = {},
): Response {
  const left = chunks.map((chunk) => (typeof chunk === "string" ? encoder.encode(chunk) : chunk));
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const next = left.shift();
        const broken = ENDS[end];
        if (next !== undefined) controller.enqueue(next);
        else if (broken === undefined) controller.close();
        else controller.error(broken());
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status, headers: { ...COMMON, "content-type": contentType, ...headers } });
}

function whole(
  status: number,
  body: string | Uint8Array,
  contentType = JSON_TYPE,
  more: readonly (readonly [string, string])[] = [],
): Response {
  const bytes = typeof body === "string" ? encoder.encode(body) : body;
  const headers = new Headers({ ...COMMON, "content-type": contentType, "content-length": String(bytes.length) });
  for (const [name, value] of more) headers.append(name, value);
  return new Response(bytes as Uint8Array<ArrayBuffer>, { status, headers });
}

const SSE = "text/event-stream; charset=utf-8";
const stream = (chunks: readonly (string | Uint8Array)[], end?: keyof typeof ENDS) => chunked(SSE, chunks, end);
const event = (data: string) => `data: ${data}\n\n`;

const head = { created: 1767787200, model: "m" };
/** Returns a chunk in the form of the path. */
function delta({ path }: EmulatorCall, text: string, finish_reason: string | null = null): string {
  if (path !== "/v1/completions") {
    const choice = { index: 0, delta: { content: text }, logprobs: null, finish_reason };
    const choices = [finish_reason === null ? choice : { ...choice, stop_reason: null }];
    return JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", ...head, choices });
  }
  const choices = [{ index: 0, text, logprobs: null, finish_reason, stop_reason: null }];
  return JSON.stringify({ id: "cmpl-1", object: "text_completion", ...head, choices, usage: null });
}
const CHAT = JSON.stringify({
  id: "chatcmpl-1",
  object: "chat.completion",
  ...head,
  choices: [{ index: 0, message: { role: "assistant", content: "hello" }, logprobs: null, finish_reason: "stop" }],
  usage: { prompt_tokens: 1, total_tokens: 2, completion_tokens: 1 },
});
const error = (message: string, type: string, code: number) =>
  JSON.stringify({ error: { message, type, param: null, code } });
const DONE = event("[DONE]");

const status =
  (code: number, body: string, contentType = JSON_TYPE, more: readonly (readonly [string, string])[] = []): Answer =>
  () =>
    whole(code, body, contentType, more);

const events =
  (chunks: (call: EmulatorCall) => readonly (string | Uint8Array)[], end?: keyof typeof ENDS): Answer =>
  (call) =>
    stream(chunks(call), end);

const answerOk: Answer = (call) => {
  if (JSON.parse(new TextDecoder().decode(call.body)).stream !== true) {
    return whole(200, CHAT, JSON_TYPE, [
      ["x-request-id", "req-ok"],
      ["x-custom", "a"],
      ["x-custom", "b"],
    ]);
  }
  return stream([event(delta(call, "hel")), event(delta(call, "lo")), event(delta(call, "", "stop")), DONE]);
};

const MESSAGE_START =
  '{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}';
const named = (name: string, data: string) => `event: ${name}\ndata: ${data}\n\n`;

function inChunks(text: string, size: number): Uint8Array[] {
  const bytes = encoder.encode(text);
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.slice(i * size, i * size + size));
}

const CASES: Readonly<Record<string, Answer>> = {
  ok: answerOk,
  slowhead: answerOk,
  s201: status(201, '{"id":"file-1"}'),
  s202: status(202, '{"id":"job-1"}'),
  s400: status(400, error("max_tokens must be at least 1, got 0.", "BadRequestError", 400)),
  s401: status(401, '{"error":"Unauthorized"}', JSON_TYPE, [["www-authenticate", "Bearer"]]),
  s403: status(403, '{"error":"forbidden"}'),
  s404: status(404, error("The model `m` does not exist.", "NotFoundError", 404)),
  s404f: status(404, '{"detail":"Not Found"}'),
  s405: status(405, '{"detail":"Method Not Allowed"}', JSON_TYPE, [["allow", "POST"]]),
  s408: status(408, '{"error":"timeout"}'),
  s413: status(413, '{"error":"too large"}'),
  early: status(413, '{"error":"too large"}', JSON_TYPE, [["connection", "close"]]),
  s422: status(422, '{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required"}]}'),
  s429: status(429, error("The server is overloaded", "RateLimitError", 429), JSON_TYPE, [
    ["retry-after", "7"],
    ["x-request-id", "req-429"],
  ]),
  s450: status(450, "queue is full"),
  s500: status(500, error("EngineCore died", "InternalServerError", 500), JSON_TYPE, [["x-request-id", "req-500"]]),
  s502: status(502, "<html>502</html>", "text/html"),
  s503: status(503, error("Service is overloaded", "ServiceUnavailableError", 503), JSON_TYPE, [["retry-after", "3"]]),
  s503e: status(503, ""),
  s504: status(504, "upstream request timeout", "text/plain"),
  http500sse: () => chunked("text/event-stream", [event(error("died", "x", 500))], "complete", 500),
  nocontent: () => new Response(null, { status: 204, headers: COMMON }),
  redirect: ({ path }) => whole(307, "", JSON_TYPE, [["location", `${path}/`]]),
  redirectabs: () => whole(302, "", JSON_TYPE, [["location", "/v1/models"]]),
  gzipjson: () => whole(200, gzipSync(CHAT), JSON_TYPE, [["content-encoding", "gzip"]]),
  gzipsse: (call) =>
    whole(200, gzipSync(event(delta(call, "hi")) + DONE), "text/event-stream", [["content-encoding", "gzip"]]),
  binary: () => whole(200, new Uint8Array([0, 255, 1, 254]), "application/octet-stream"),
  bigjson: () => whole(200, JSON.stringify({ x: "y".repeat(3_000_000) })),
  chunkedjson: () => chunked(JSON_TYPE, [CHAT.slice(0, 40), CHAT.slice(40)]),
  cookies: () =>
    whole(200, "{}", JSON_TYPE, [
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
      ["keep-alive", "timeout=5"],
      ["cache-control", "no-cache"],
      ["x-accel-buffering", "no"],
    ]),
  trailers: () => chunked(JSON_TYPE, ["{}"], "complete", 200, { trailer: "x-t" }),
  longheader: () => whole(200, CHAT, JSON_TYPE, [["x-long", "h".repeat(20_000)]]),
  hugeheader: () => whole(200, CHAT, JSON_TYPE, [["x-long", "h".repeat(12_000_000)]]),
  nodone: events((call) => [event(delta(call, "hel")), event(delta(call, "lo"))]),
  comments: events((call) => [
    ": ping\n\n",
    event(delta(call, "hel")),
    ": keep-alive\n\n",
    ":\n\n",
    event(delta(call, "lo")),
    ": ping - 2026\r\n\r\n",
    DONE,
  ]),
  fields: events(() => [
    "event: message_start\nid: 7\nretry: 1000\n",
    event('{"type":"message_start"}'),
    named("ping", '{"type": "ping"}'),
    named("error", '{"message":"out of memory"}'),
    "id: 9\n\n",
    "event: x\n\n",
    "data:\n\n",
    DONE,
  ]),
  multiline: events(() => [
    'data: {\ndata: "a": 1,\ndata: "b": 2\ndata: }\n\n',
    "data: one\ndata:\ndata: three\n\n",
    DONE,
  ]),
  crlf: events((call) => [`data: ${delta(call, "a")}\r\n\r\n`, `data:${delta(call, "b")}\r\r`, "data: [DONE]\r\n\r\n"]),
  split: events((call) => inChunks(event(delta(call, "学而时习之")) + DONE, 7)),
  unended: events((call) => [event(delta(call, "a")), `data: ${delta(call, "b")}`]),
  bom: events((call) => [`\ufeff${event(delta(call, "a"))}`, DONE]),
  badutf8: events(() => [Uint8Array.from([...encoder.encode("data: "), 0xff, 0xfe, 0x41, 10, 10]), DONE]),
  nul: () => chunked("application/octet-stream", ['{"response":"a"}\0', '{"response":"ab"}\0']),
  wholeforstream: () => whole(200, CHAT),
  errwholeforstream: () => whole(200, error("failed", "InternalServerError", 500)),
  pretty: () => whole(200, JSON.stringify(JSON.parse(CHAT), null, 2)),
  errevent: events((call) => [
    event(delta(call, "hel")),
    event(error("EngineCore died", "InternalServerError", 500)),
    DONE,
  ]),
  rst: events((call) => [event(delta(call, "hel")), event(delta(call, "lo"))], "reset"),
  fin: events((call) => [event(delta(call, "hel")), event(delta(call, "lo"))], "end"),
  rst0: events(() => [], "reset"),
  emptysse: events(() => []),
  huge64k: events((call) => [event(delta(call, "x".repeat(70_000))), DONE]),
  huge1mminus: events((call) => [event(delta(call, "x".repeat(1024 * 1024 - 400))), DONE]),
  anthropic: events(() => [
    named("message_start", MESSAGE_START),
    named("content_block_start", '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'),
    named("ping", '{"type": "ping"}'),
    named(
      "content_block_delta",
      '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}',
    ),
    named("content_block_stop", '{"type":"content_block_stop","index":0}'),
    named(
      "message_delta",
      '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}}',
    ),
    named("message_stop", '{"type":"message_stop"}'),
  ]),
  anthropicerr: events(() => [
    named("message_start", MESSAGE_START),
    named("error", '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'),
  ]),
  textcut: () => chunked("text/plain", ["the first half"], "end", 200, { "content-length": "100" }),
  jsonchunkcut: () => chunked(JSON_TYPE, [CHAT.slice(0, 60)], "reset"),
  ndjsoncut: () => chunked("application/x-ndjson", ['{"response":"a"}\n'], "reset"),
};

/** Names of the cases that break before the response headers, as faults of the engine. */
export const BROKEN_BEFORE_HEAD: readonly string[] = ["rsthead"];

export function engine(call: EmulatorCall): Response {
  const answer = CASES[call.headers.get("x-case") ?? ""];
  if (answer === undefined) throw new Error(`no case ${call.headers.get("x-case")}`);
  return answer(call);
}
