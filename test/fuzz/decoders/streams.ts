import { EasDecodeError } from "../../../src/errors.js";
import { ChatAccumulator } from "../../../src/predict/stream/chat-completion.js";
import { endOfEvents } from "../../../src/predict/stream/stream-end.js";
import { errorOfEvent, errorOfValue } from "../../../src/predict/stream/stream-error.js";
import { decodeText, eventsOf, jsonOf, linesOf } from "../../support/steps.js";
import { type Bytes, must, table, utf8 } from "../decoder.js";

// Readers of streams. Each input is read as one chunk and as many chunks, with the same result.

const PIECES = [
  "\n",
  "\r",
  "\r\n",
  "\0",
  "data: ",
  "data:1\n\n",
  "event: error\n",
  "id: 1\n",
  "retry: 5\n",
  ": \n",
  "\uFEFF",
  "字",
  "🙂",
  '{"error":{"message":"x","code":500}}',
  '{"a":1}\n',
  "[1,\n2]\0",
  "[DONE]",
  '"',
].map(utf8);

const SAMPLES = [
  'data: {"choices":[{"delta":{"content":"学"}}]}\n\ndata: [DONE]\n\n',
  "event: a\r\ndata: 1\r\ndata: 2\r\nid: 3\r\n\r\n: ping\r\r",
  'event: error\ndata: {"message":"out of memory"}\n\n',
  '{"response":"学"}\0{"response":"学而"}\0',
  '{"a":1}\n[2]\n"字"\n',
  '{\n  "a": 1\n}\n',
].map(utf8);

const CHATS = [
  '{"id":"1","choices":[{"index":0,"delta":{"content":"a","reasoning":"b"},"finish_reason":""}]}\n{"choices":[]}\n',
  '{"choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}}]}}]}\n',
  '{"choices":[{"message":{"content":"a","tool_calls":[{}]},"finish_reason":"stop"}],"usage":{"total_tokens":1}}\n',
].map(utf8);

const CALL = {
  plan: { method: "POST", target: { origin: "http://x", path: "/" }, path: "/", suffix: { wire: "" } },
  attempts: 1,
  token: "token",
};

async function* inChunks(input: Bytes, size: number): AsyncGenerator<Bytes, void, undefined> {
  for (let at = 0; at < input.length; at += size) yield input.slice(at, at + size);
}

/** Returns all values of a reader, and the class of its error. */
async function outcome(values: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = [];
  try {
    for await (const value of values) all.push(value);
  } catch (error) {
    if (!(error instanceof EasDecodeError)) throw error;
    all.push(["failed", error.format]);
  }
  return all;
}

type Reader = (texts: AsyncIterable<string>) => AsyncIterable<unknown>;

function decodeBy(read: Reader) {
  return async (input: Bytes) => {
    const whole = await outcome(read(decodeText(inChunks(input, Math.max(1, input.length)))));
    for (const size of input.length > 4096 ? [1021] : [1, 7]) {
      const pieces = await outcome(read(decodeText(inChunks(input, size))));
      // A chunk with invalid UTF-8 yields nothing before its error.
      const isText = JSON.stringify(whole.at(-1)) !== '["failed","utf-8"]';
      if (isText) must(JSON.stringify(pieces) === JSON.stringify(whole), `the same in pieces of ${size}`);
    }
    const failure = whole.at(-1);
    if (Array.isArray(failure) && failure[0] === "failed") throw new EasDecodeError("failed", { format: "stream" });
  };
}

export const STREAMS = table({ pieces: PIECES }, [
  { name: "stream lines", samples: () => SAMPLES, decode: decodeBy(linesOf) },
  {
    name: "stream events",
    samples: () => SAMPLES,
    decode: decodeBy(async function* (texts) {
      let all = "";
      const noted = async function* () {
        for await (const text of texts) {
          all += text;
          yield text;
        }
      };
      for await (const event of eventsOf(noted())) {
        yield [event.event, event.data, event.id, event.retry];
        const error = errorOfEvent(event, 0, CALL as never);
        must(error === undefined || error.data.length <= event.data.length + 3, "the error's data");
      }
      yield endOfEvents(all);
      endOfEvents(all, false);
    }),
  },
  {
    name: "stream chat",
    samples: () => CHATS,
    decode: decodeBy(async function* (texts) {
      const chat = new ChatAccumulator();
      for await (const value of jsonOf(texts)) yield* structuredClone([...chat.add(value)]);
      yield* chat.end();
      yield chat.completion;
    }),
  },
  {
    name: "stream JSON",
    samples: () => SAMPLES.slice(3),
    decode: decodeBy(async function* (texts) {
      for await (const value of jsonOf(texts)) {
        yield value;
        errorOfValue(value, 0, CALL as never);
      }
    }),
  },
]);
