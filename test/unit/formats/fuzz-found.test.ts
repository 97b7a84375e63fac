import { describe, expect, test } from "vitest";
import { readInstances } from "../../../src/endpoint/instance-list.js";
import { gatewayTarget, parseEndpoint } from "../../../src/endpoint/parse-endpoint.js";
import { EasDecodeError, JsonResponse } from "../../../src/index.js";
import { readAttributes } from "../../../src/queue/attributes.js";
import { readFrames } from "../../../src/queue/frame-codec.js";
import { parseExactly } from "../../../src/util/exact-json.js";
import { thrownBy } from "../../support/calls.js";
import { eventsOf, jsonOf } from "../../support/steps.js";

// Inputs that `npm run test:fuzz` has found, with the error that they caused.

const utf8 = (text: string) => new TextEncoder().encode(text);
const nested = (depth: number, inner = "") => "[".repeat(depth) + inner + "]".repeat(depth);
const OWNER = { commit: async () => {}, negative: async () => {}, release: () => {} };

describe("JSON instead of a text or a number", () => {
  const READS: Readonly<Record<string, (value: string) => unknown>> = {
    "a label": (value) => new JsonResponse(utf8(`{"outputs":[{"outputLabel":${value}}]}`)),
    "a probability": (value) => new JsonResponse(utf8(`{"outputs":[{"outputMulti":{"a":${value}}}]}`)),
    "a tag": (value) => readFrames(utf8(`[{"index":1,"tags":{"a":${value}}}]`), "application/json", OWNER),
    "a frame's message": (value) => readFrames(utf8(`[{"index":1,"message":${value}}]`), "application/json", OWNER),
    "an attribute": (value) => readAttributes(utf8(`{"a":${value}}`)),
  };
  describe.each(Object.entries(READS))("%s", (_, read) => {
    test.each([
      ["an object that cannot be a text was a TypeError", '{"toString":1,"valueOf":1}'],
      ["deep nesting was a RangeError", nested(50_000)],
      ["an object was [object Object]", "{}"],
    ])("%s", (_, value) => {
      expect(thrownBy(() => read(value))).toBeInstanceOf(EasDecodeError);
    });
  });
});

describe("exact JSON", () => {
  const LARGE = "1234567890123456789";

  test("next to a text that was too long for a regular expression", () => {
    const long = "a".repeat(12_000_000);
    expect(parseExactly(`["${long}",${LARGE}]`)).toEqual([long, BigInt(LARGE)]);
  });

  test("next to more escapes than a regular expression supports", () => {
    const many = 4_000_000;
    const [text, integer] = parseExactly(`["${"\\n".repeat(many)}",${LARGE}]`) as [string, bigint];
    expect([text.length, integer]).toEqual([many, BigInt(LARGE)]);
  });

  test("nested more deeply than the reviver of JSON.parse supports", () => {
    let inner: unknown = parseExactly(nested(100_000, LARGE));
    let depth = 0;
    for (; Array.isArray(inner); depth++) [inner] = inner as unknown[];
    expect([depth, inner]).toEqual([100_000, BigInt(LARGE)]);
  });

  test("very long integers stay numbers, because converting them to bigints takes more than linear time", () => {
    expect(parseExactly(`[${"9".repeat(4096)}]`)).toEqual([10n ** 4096n - 1n]);
    expect(parseExactly(`[${"9".repeat(4097)},-${"9".repeat(300)}]`)).toEqual([Infinity, 1n - 10n ** 300n]);
  });
});

test("many slashes in an endpoint took quadratic time", () => {
  const slashes = "/".repeat(1_000_000);
  expect(parseEndpoint(`http://h${slashes}x${slashes}`)).toMatchObject({ origin: "http://h", prefix: `${slashes}x` });
  expect(gatewayTarget({ endpoint: `http://h/api/predict/${slashes}svc${slashes}` }, () => undefined).path).toBe(
    "/api/predict/svc",
  );
});

test("a port that cannot be converted to text made a whole list of instances fail", () => {
  const list = JSON.parse('[{"host":"a","port":{"toString":1}},{"host":"b","port":80}]');
  expect(readInstances(list)).toEqual([{ origin: "http://b", weight: 100 }]);
});

test.each([
  ["events ended by CR only", eventsOf, "\r"],
  ["JSON with blank lines before it", jsonOf, "\n"],
])("%s took quadratic time", async (_, read, line) => {
  async function* texts() {
    yield line.repeat(2_000_000);
  }
  let count = 0;
  for await (const _value of read(texts())) count++;
  expect(count).toBe(0);
});
