// The chat stream that the server sends: the same events in every process and every run.

/** The path below the service, as in the OpenAI API. */
export const PATH = "/v1/chat/completions";
export const MODEL = "qwen3-8b";
/** The request of every contender. */
export const REQUEST = {
  model: MODEL,
  stream: true,
  stream_options: { include_usage: true },
  messages: [{ role: "user", content: "Say something long." }],
};

const WORDS = [
  " the",
  " quick",
  " brown",
  " fox",
  ' "jumps"',
  " over\n",
  " 模型",
  " é",
  " 🦊",
  " def f(x):",
  "\\n",
  ".",
];

const base = { id: "chatcmpl-7f3a9c2e51d84b06", object: "chat.completion.chunk", created: 1790000000, model: MODEL };
const choice = (delta, finish) => ({ index: 0, delta, logprobs: null, finish_reason: finish });

/** Returns the JSON values of a stream of `count` events, as vLLM sends them, without the final `[DONE]`. */
export function chunksOf(count) {
  const text = Array.from({ length: count - 3 }, (_, i) => choice({ content: WORDS[i % WORDS.length] }, null));
  const choices = [choice({ role: "assistant", content: "" }, null), ...text, choice({}, "stop")];
  const usage = { prompt_tokens: 14, total_tokens: 14 + count - 3, completion_tokens: count - 3 };
  return [...choices.map((one) => ({ ...base, choices: [one] })), { ...base, choices: [], usage }];
}

const TYPES = { sse: "text/event-stream; charset=utf-8", ndjson: "application/x-ndjson" };

/** Returns the bytes of each value: server-sent events with a final `[DONE]`, or lines of JSON. */
const FORMATS = {
  sse: (texts) => [...texts, "[DONE]"].map((data) => Buffer.from(`data: ${data}\n\n`)),
  ndjson: (texts) => texts.map((text) => Buffer.from(`${text}\n`)),
};

/** Number of values in each write of a service that coalesces them: 7 KB. */
const COALESCED = 32;

/**
 * Returns the name of a service, which encodes what it sends: `count` values in the format. `single` writes contain
 * one value, `coalesced` writes contain many. Without a `rate`, values are sent as fast as they are read. Otherwise
 * `rate` is the number of values per second.
 */
export function serviceOf({ count, format = "sse", sending = "single", rate = 0 }) {
  return `${format}_${sending}_${count}_${rate}`;
}

/**
 * Returns a service's content type, its chunks, and its rate. A chunk contains whole values. Undefined for an
 * unknown service.
 */
export function planOf(service) {
  const [, format, sending, count, rate] = /^(sse|ndjson)_(single|coalesced)_(\d+)_(\d+)$/.exec(service) ?? [];
  if (format === undefined) return undefined;
  const values = FORMATS[format](chunksOf(Number(count)).map((chunk) => JSON.stringify(chunk)));
  const size = sending === "coalesced" ? COALESCED : 1;
  const writes = Array.from({ length: Math.ceil(values.length / size) }, (_, i) =>
    Buffer.concat(values.slice(i * size, (i + 1) * size)),
  );
  return { type: TYPES[format], writes, rate: Number(rate) };
}
