import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clientOf, errorOf, startServer } from "../../support/calls.js";
import { answer } from "../../support/misbehaving-server.js";

/** Returns the error of a call with this input, which must not send anything. */
async function refusalOf(input: unknown) {
  const server = await startServer();
  const error = await errorOf(clientOf(server).predict(input as object));
  expect(server.requests).toHaveLength(0);
  return [error.name, error.code, error.message];
}

const refused = (message: string) => ["TypeError", "ERR_EAS_ARG_REQUEST", message];

describe("refuses a value that JSON would omit or change, with its path", () => {
  const UNDEFINED = "JSON has no such value; leave it out, or pass null";
  const NUMBER = "JSON has no such number; pass null or text";
  const cycle: Record<string, unknown> = { messages: [{ content: "x" }] };
  (cycle.messages as unknown[]).push({ parent: cycle });
  const ring: unknown[] = [];
  ring.push(ring);

  test.each<[string, unknown, string]>([
    [
      "undefined in an array of objects",
      { messages: [{ role: "user", content: undefined }] },
      `input.messages[0].content is undefined: ${UNDEFINED}`,
    ],
    ["a hole", { a: Object.assign(new Array(3), { 0: 1, 2: 2 }) }, `input.a[1] is undefined: ${UNDEFINED}`],
    ["a key that is not a name", { "a b": { "": undefined } }, `input["a b"][""] is undefined: ${UNDEFINED}`],
    ["a function", { f: Math.abs }, "input.f is the function abs: JSON has no such value; leave it out"],
    ["a method of a class", { f: { g() {} } }, "input.f.g is the function g: JSON has no such value; leave it out"],
    ["a symbol", [Symbol("s")], "input[0] is Symbol(s): JSON has no such value; leave it out"],
    ["a bigint", { id: 5n }, "input.id is 5n: JSON does not have bigints; pass a number, or String(value)"],
    ["NaN", [1, 2, NaN], `input[2] is NaN: ${NUMBER}`],
    ["Infinity", { x: -Infinity }, `input.x is -Infinity: ${NUMBER}`],
    [
      "a Map",
      { m: new Map([[1, 2]]) },
      "input.m is an instance of Map, which JSON cannot represent: pass Object.fromEntries(map)",
    ],
    [
      "a Map itself",
      new Map(),
      "input is an instance of Map, which JSON cannot represent: pass Object.fromEntries(map)",
    ],
    ["a Set", [new Set([1])], "input[0] is an instance of Set, which JSON cannot represent: pass Array.from(set)"],
    [
      "a typed array",
      { v: new Float32Array(2) },
      "input.v is an instance of Float32Array, which JSON cannot represent: pass Array.from(array)",
    ],
    [
      "a typed array itself",
      new Float32Array(2),
      "input is an instance of Float32Array, which JSON cannot represent: pass Array.from(array)",
    ],
    [
      "a Buffer, which has a toJSON",
      { image: Buffer.from("x") },
      "input.image is an instance of Buffer, which JSON cannot represent: pass Array.from(bytes), or their base64 text",
    ],
    [
      "an ArrayBuffer",
      { image: new ArrayBuffer(1) },
      "input.image is an instance of ArrayBuffer, which JSON cannot represent: pass Array.from(new Uint8Array(buffer)), or its base64 text",
    ],
    [
      "a promise",
      { a: Promise.resolve(1) },
      "input.a is an instance of Promise, which JSON cannot represent: await it first",
    ],
    [
      "an error",
      { a: new Error("x") },
      "input.a is an instance of Error, which JSON cannot represent: pass a plain object",
    ],
    [
      "a regular expression",
      [/x/],
      "input[0] is an instance of RegExp, which JSON cannot represent: pass a plain object",
    ],
    ["a Blob", { a: new Blob() }, "input.a is an instance of Blob, which JSON cannot represent: pass a plain object"],
    [
      "a Response",
      new Response(),
      "input is an instance of Response, which JSON cannot represent: pass a plain object",
    ],
    [
      "a date that is none",
      { at: [new Date(NaN)] },
      "input.at[0] is an instance of Date, which JSON cannot represent: the date is invalid; pass null or text",
    ],
    [
      "a DataView",
      { v: new DataView(new ArrayBuffer(1)) },
      "input.v is an instance of DataView, which JSON cannot represent: pass Array.from(new Uint8Array(view.buffer, view.byteOffset, view.byteLength))",
    ],
    [
      "shared memory",
      { v: new SharedArrayBuffer(1) },
      "input.v is an instance of SharedArrayBuffer, which JSON cannot represent: pass Array.from(new Uint8Array(buffer)), or its base64 text",
    ],
    ["a toJSON of undefined", { a: { toJSON: () => undefined } }, `input.a is undefined: ${UNDEFINED}`],
    ["a toJSON with NaN in it", { a: { toJSON: () => ({ b: NaN }) } }, `input.a.b is NaN: ${NUMBER}`],
    [
      "a cycle",
      cycle,
      "input.messages[1].parent is the same object as input: JSON cannot represent a cycle; leave one of them out",
    ],
    [
      "an array in itself",
      { ring },
      "input.ring[0] is the same object as input.ring: JSON cannot represent a cycle; leave one of them out",
    ],
  ])("%s", async (_, input, message) => {
    expect(await refusalOf(input)).toEqual(refused(message));
  });

  test("finds a cycle next to many values quickly", async () => {
    const large: Record<string, unknown> = { list: Array.from({ length: 20_000 }, (_, id) => ({ id })) };
    large.self = large;
    const start = performance.now();
    expect((await refusalOf(large))[2]).toMatch(/^input\.self is the same object as input:/);
    const endless = { list: [1, 2, 3, { a: 1 }], toJSON: () => ({ list: large.list, next: { ...endless } }) };
    (large.list as unknown[]).length = 20;
    expect((await refusalOf(endless))[2]).toMatch(/^input is nested more than 1000 levels deep/);
    expect(performance.now() - start).toBeLessThan(8_000);
  }, 20_000);

  test("refuses unlimited nesting", async () => {
    let deep: unknown = 1;
    for (let i = 0; i < 1001; i++) deep = [deep];
    expect((await refusalOf(deep))[2]).toMatch(/^input is nested more than 1000 levels deep, at input(\[0\])+…$/);
    const endless = { toJSON: () => [endless] };
    expect((await refusalOf([endless]))[2]).toMatch(/^input is nested more than 1000 levels deep/);
  });
});

describe("sends JSON like JSON.stringify", () => {
  const shared = { a: 1 };
  class Point {
    readonly x = 1;
    readonly #y = 2;
    get y() {
      return this.#y;
    }
  }
  test.each<[string, object]>([
    ["a date, a URL", { at: new Date(0), url: new URL("http://h/") }],
    ["an object twice", [shared, shared, { shared }]],
    ["an instance of a class with fields", { p: new Point() }],
    ["an object without a prototype", Object.assign(Object.create(null), { a: 1 })],
    ["objects of another realm", runInNewContext("({ a: [1, {}], b: Object.create(null) })") as object],
    ["keys of a prototype", JSON.parse('{"__proto__":{"a":1},"toString":1}') as object],
    ["empty ones", { a: [], o: {}, s: "", n: null, z: 0 }],
    ["an empty array", []],
    ["half a surrogate pair", ["\ud800"]],
    ["1000 levels", JSON.parse("[".repeat(1000) + "]".repeat(1000)) as object],
  ])("%s", async (_, input) => {
    const server = await startServer();
    server.always(answer(200, {}, "1"));
    expect((await clientOf(server).predict(input)).json()).toBe(1);
    expect(server.requests[0]?.body.toString()).toBe(JSON.stringify(input));
    expect(server.requests[0]?.headers["content-type"]).toBe("application/json");
  });

  test("sends every result of JSON.parse", async () => {
    const server = await startServer();
    const client = clientOf(server);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue()), async (value) => {
        await client.predict(value);
        expect(server.requests.at(-1)?.body.toString()).toBe(JSON.stringify(value));
      }),
      { numRuns: 50 },
    );
  });

  test("sends a bigint if the application defines its toJSON", async () => {
    const prototype = BigInt.prototype as unknown as { toJSON?: () => string };
    prototype.toJSON = function (this: bigint) {
      return String(this);
    };
    try {
      const server = await startServer();
      await clientOf(server).predict([5n]);
      expect(server.requests[0]?.body.toString()).toBe('["5"]');
    } finally {
      delete prototype.toJSON;
    }
  });
});
