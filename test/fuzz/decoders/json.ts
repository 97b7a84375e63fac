import fc from "fast-check";
import { EasDiscovery } from "../../../src/endpoint/discovery.js";
import { type FoundInstance, readInstances } from "../../../src/endpoint/instance-list.js";
import { EasDecodeError, JsonResponse, StringResponse } from "../../../src/index.js";
import { lastEntryOf, readAttributes } from "../../../src/queue/attributes.js";
import { readFrames } from "../../../src/queue/frame-codec.js";
import { countOperation, putOperation, searchOperation } from "../../../src/queue/operations.js";
import { parseExactly } from "../../../src/util/exact-json.js";
import * as abort from "../../../src/util/timing/abort.js";
import { type Bytes, must, table, textOf, utf8 } from "../decoder.js";

// JSON, and plain-text responses of a queue.

const PIECES = [
  "[",
  "]",
  "{",
  "}",
  '"',
  ",",
  ":",
  "\\",
  "\\u",
  "\\ud800",
  "null",
  "true",
  "1e999",
  "-",
  "-0",
  "0.1",
  "9007199254740993",
  "123456789012345678901234567890",
  '{"a":',
  '"__proto__":{"x":1}',
  '"constructor":1',
  '"toString":1,"valueOf":1',
  '{"toString":1,"valueOf":1}',
  " ",
  "\n",
  "\u2028",
  "\ufeff",
  "é",
  "\0",
].map(utf8);

const AROUND = [
  ["", ""],
  ['"', '"'],
  ["[", "]"],
  ['{"a":', "}"],
  ['["', '",1234567890123456789]'],
  ["[1234567890123456789", "]"],
  ['{"a":[1234567890123456789', "]}"],
].map(([before, after]) => [utf8(before as string), utf8(after as string)] as const);

const anyJson = (seed: number): Bytes[] => fc.sample(fc.json(), { numRuns: 10, seed }).map(utf8);

/** Checks against `JSON.parse`. Numbers may differ only where a double is inexact. */
function compare(exact: unknown, rounded: unknown): void {
  const stack: [unknown, unknown][] = [[exact, rounded]];
  for (let pair = stack.pop(); pair !== undefined; pair = stack.pop()) {
    const [one, other] = pair;
    if (typeof one === "bigint") must(Number(one) === other, "an integer");
    else if (typeof one !== "object" || one === null) must(Object.is(one, other), "a value");
    else {
      const keys = Object.keys(one);
      must(keys.join() === Object.keys(other as object).join(), "the keys");
      for (const key of keys) stack.push([one[key as never], other?.[key as never]]);
    }
  }
}

const OWNER = { commit: async () => {}, negative: async () => {}, release: () => {} };
const reads = (operation: { read: (result: never, transport: never) => unknown }) => (body: Bytes) =>
  operation.read({ body, response: { headers: new Headers() } } as never, {} as never);

export const JSON_ANSWERS = table({ pieces: PIECES, around: AROUND }, [
  {
    name: "exact JSON",
    samples: (seed: number) => [
      ...anyJson(seed),
      utf8('{"id":9007199254740993,"t":"\\"9007199254740993","x":[1.5e3,-12345678901234567890, "n1"]}'),
    ],
    decode(input: Bytes) {
      const text = textOf(input);
      let rounded: unknown;
      try {
        rounded = JSON.parse(text);
      } catch {
        // Invalid JSON must be refused, as by JSON.parse.
        try {
          parseExactly(text);
        } catch (error) {
          if (error instanceof SyntaxError) throw new EasDecodeError("no JSON", { format: "json" });
          throw error;
        }
        throw new Error("wrong: it is not JSON");
      }
      compare(parseExactly(text), rounded);
    },
  },
  {
    name: "json",
    samples: () => [
      utf8('{"outputs":[{"outputLabel":1,"outputMulti":{"a":0.5,"b":null},"outputValue":{"id":9007199254740993}},{}]}'),
      utf8(
        '{"outputs":[{"outputLabel":null,"outputMulti":null,"outputValue":{"x":[1,{"y":"z"}],"__proto__":{"x":1}}}]}',
      ),
    ],
    around: [
      ["", ""],
      ["[", "]"],
      ['{"outputs":[{"outputLabel":', "}]}"],
      ['{"outputs":[{"outputLabel":[', "]}]}"],
      ['{"outputs":[{"outputMulti":{"a":', "}}]}"],
    ].map(([before, after]) => [utf8(before as string), utf8(after as string)] as const),
    decode(body: Bytes) {
      const response = new JsonResponse(body);
      must(typeof `${response}` === "string", "toString");
      for (const { outputLabel, outputMulti } of response.outputs) {
        must(outputLabel === undefined || typeof outputLabel === "string", "a label");
        for (const value of outputMulti.values()) must(typeof value === "number", "a probability");
      }
    },
  },
  { name: "text as JSON", samples: anyJson, decode: (body) => new StringResponse(body).json() },
  {
    name: "frames in JSON",
    samples: () => [
      utf8(
        '[{"index":9007199254740993,"tags":{"a":"b","n":1},"data":"aGVsbG8=","message":"ok"},{"index":2,"tags":null}]',
      ),
      utf8('[{"index":1,"tags":{"a":1.5,"__proto__":"x","toString":null},"data":null,"message":12}]'),
    ],
    around: [
      ["", ""],
      ["[", "]"],
      ['[{"index":1,"tags":{"a":', "}}]"],
      ['[{"index":1,"message":', "}]"],
      ['[{"index":1,"tags":{"a":[', "]}}]"],
      ['[{"index":1,"data":"', '"}]'],
    ].map(([before, after]) => [utf8(before as string), utf8(after as string)] as const),
    decode(body: Bytes) {
      for (const frame of readFrames(body, "application/json", OWNER)) {
        for (const value of Object.values(frame.tags)) must(typeof value === "string", "a tag");
        must(typeof frame.message === "string", "the message");
        JSON.stringify(frame);
      }
    },
  },
  {
    name: "attributes of a queue",
    samples: () => [
      utf8('{"stream.length":"3","stream.lastEntry":"1700000000000000","meta.maxPayloadBytes":"8192","__proto__":"x"}'),
      utf8('{"a":1,"b":true,"toString":"c","e":null}'),
    ],
    around: [
      ["", ""],
      ["[", "]"],
      ['{"a":', "}"],
    ].map(([before, after]) => [utf8(before as string), utf8(after as string)] as const),
    decode(body: Bytes) {
      const attributes = readAttributes(body);
      must(Object.getPrototypeOf(attributes) === null, "attributes without a prototype");
      for (const value of Object.values(attributes)) must(typeof value === "string", "an attribute");
      lastEntryOf(attributes);
    },
  },
  { name: "index of a put", samples: () => [utf8("1700000000000000"), utf8(" 7\n")], decode: reads(putOperation({})) },
  { name: "count of a queue", samples: () => [utf8("12")], decode: reads(countOperation({})) },
  {
    name: "position in a queue",
    samples: () => [utf8('{"ConsumerId":"u","IsPending":true,"WaitCount":0}')],
    decode: reads(searchOperation(1n, undefined)),
  },
  {
    name: "response of discovery",
    samples: () => [
      utf8('{"endpoints":{"items":[{"ip":"10.0.0.1","port":8080,"weight":100},{"ip":"fd00::1","port":"80"}]}}'),
      utf8(
        '{"endpoints":{"items":[{"ip":"a","port":1,"weight":null},{"ip":{"toString":1},"port":{"toString":1}},null]}}',
      ),
    ],
    around: [
      ["", ""],
      ['{"endpoints":{"items":[{"ip":"a","port":1},', "]}}"],
      ['{"endpoints":{"items":[{"ip":"a","port":1},{"port":', "}]}}"],
      ['{"endpoints":{"items":[{"ip":"a","port":1},{"port":1,"ip":"', '"}]}}'],
      ['{"endpoints":{"items":[{"ip":"a","port":1,"weight":', "}]}}"],
    ].map(([before, after]) => [utf8(before as string), utf8(after as string)] as const),
    async decode(body: Bytes) {
      const answer = { status: 200, headers: new Headers(), body, contentEncoding: undefined };
      const transport = { send: async () => answer, close: async () => {} };
      const discovery = new EasDiscovery("http://d", "exported-apis", false, {
        transport: () => transport,
        tools: abort as never,
      });
      const { signal } = new AbortController();
      const list = await discovery.list({ serviceName: "s", signal }).catch((cause) => {
        throw new EasDecodeError("no list", { format: "json", cause });
      });
      let found: readonly FoundInstance[];
      try {
        found = readInstances(list);
      } catch (cause) {
        if (!/^none of the \d+ instances/.test(String((cause as Error).message))) throw cause;
        throw new EasDecodeError("no instance", { format: "json", cause });
      }
      for (const { origin, weight } of found) {
        must(new URL(origin).origin === origin, "an origin");
        must(weight >= 0 && Number.isFinite(weight), "a weight");
      }
    },
  },
]);
