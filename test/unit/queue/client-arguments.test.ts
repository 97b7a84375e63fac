import { describe, expect, test } from "vitest";
import { type DataFrame, QueueClient } from "../../../src/index.js";
import type { WebSocketDialer } from "../../../src/platform/contract.js";
import { errorOf, RecordingTransport, TOKEN, thrownBy, transportAnswer } from "../../support/calls.js";
import { queueClientOf, recordingQueueClient } from "../../support/queues.js";

// Invalid arguments are rejected before anything is sent, with a class, a code and an explanatory message.

// JavaScript callers can pass values that TypeScript rejects.
const any = (value: unknown): never => value as never;

/** The error that a call is expected to throw. */
type Refusal = readonly [name: "TypeError" | "RangeError", code: string, message: RegExp];
type Case = [name: string, call: (client: QueueClient) => Promise<unknown>, refusal: Refusal];

/** Calls that accept tags. */
const TAGGED: Readonly<Record<string, (client: QueueClient, tags: unknown) => Promise<unknown>>> = {
  put: (client, tags) => client.put("x", { tags: any(tags) }),
  get: (client, tags) => client.get({ tags: any(tags) }),
  count: (client, tags) => client.count({ tags: any(tags) }),
  watch: async (client, tags) => client.watch(0, 1, { tags: any(tags) }),
  consume: (client, tags) => client.consume(() => {}, { tags: any(tags) }),
};

const tag = (message: RegExp): Refusal => ["TypeError", "ERR_EAS_ARG_TAG", message];
const BAD_TAGS: [name: string, tags: unknown, refusal: Refusal][] = [
  ["a key that begins with _", { _length_: "99" }, tag(/tag "_length_" cannot be used: its key begins with "_"/)],
  ["the key _", { _: "x" }, tag(/tag "_" cannot be used/)],
  ["__proto__", JSON.parse('{"__proto__":"x"}'), tag(/tag "__proto__" cannot be used/)],
  ["an empty key", { "": "x" }, tag(/tag "" cannot be used: its key is empty/)],
  ["a number", { n: 5 }, tag(/tag "n" is 5: its value must be a string/)],
  ["a bigint", { n: 5n }, tag(/tag "n" is 5n: its value must be a string/)],
  ["true", { n: true }, tag(/tag "n" is true/)],
  ["null", { n: null }, tag(/tag "n" is null/)],
  ["undefined", { n: undefined }, tag(/tag "n" is undefined/)],
  ["an array", { n: ["a"] }, tag(/tag "n" is an array/)],
  ["an object", { n: {} }, tag(/tag "n" is a plain object/)],
  ["tags that are a string", "a=b", tag(/tags is "a=b": it must be an object of strings/)],
  ["tags that are null", null, tag(/tags is null/)],
  ["tags that are pairs", [["a", "b"]], tag(/tags is an array/)],
  ["tags that are a Map", new Map([["a", "b"]]), tag(/tags is an instance of Map/)],
  ["an unpaired surrogate in a value", { k: "a\ud800" }, tag(/tag "k" has an unpaired surrogate/)],
  ["an unpaired surrogate in a key", { "\udc00": "a" }, tag(/has an unpaired surrogate/)],
];

const index = (name: "TypeError" | "RangeError", shown: RegExp): Refusal => [
  name,
  "ERR_EAS_ARG_INDEX",
  new RegExp(`${shown.source}: it must be an integer from 0 to 2\\^64 - 1`),
];
const BAD_INDEXES: [shown: string, index: unknown, refusal: Refusal][] = [
  ["-2", -2, index("RangeError", /is -2/)],
  ["-2n", -2n, index("RangeError", /is -2n/)],
  ["1.5", 1.5, index("RangeError", /is 1\.5/)],
  ["NaN", Number.NaN, index("RangeError", /is NaN/)],
  ["Infinity", Number.POSITIVE_INFINITY, index("RangeError", /is Infinity/)],
  ["2^53", 2 ** 53, index("RangeError", /is 9007199254740992/)],
  ["19 digits as a number", Number(6925387844634542080n), index("RangeError", /is 6925387844634542000/)],
  ["2^64", 2n ** 64n, index("RangeError", /is 18446744073709551616n/)],
  ["2^64 as a string", "18446744073709551616", index("TypeError", /is "18446744073709551616"/)],
  ["21 digits", "1".repeat(21), index("TypeError", /is "1{21}"/)],
  ["an empty string", "", index("TypeError", /is ""/)],
  ["a word", "abc", index("TypeError", /is "abc"/)],
  ["a negative number as a string", "-2", index("TypeError", /is "-2"/)],
  ["a fraction as a string", "5.0", index("TypeError", /is "5\.0"/)],
  ["a string with a space", " 5", index("TypeError", /is " 5"/)],
  ["a string with a line break", "5\n", index("TypeError", /is "5\\n"/)],
  ["hexadecimal", "0x10", index("TypeError", /is "0x10"/)],
  ["digits other than ASCII", "٣", index("TypeError", /is "٣"/)],
  ["null", null, index("TypeError", /is null/)],
  ["true", true, index("TypeError", /is true/)],
];

const INDEXED: Readonly<Record<string, (client: QueueClient, index: unknown) => Promise<unknown>>> = {
  get: (client, index) => client.get({ index: any(index) }),
  search: (client, index) => client.search(any(index)),
  truncate: (client, index) => client.truncate(any(index)),
  watch: async (client, index) => client.watch(any(index), 1),
  consume: (client, index) => client.consume(() => {}, { index: any(index) }),
  delete: (client, index) => client.delete(any(index)),
  commit: (client, index) => client.commit([1, any(index)]),
  negative: (client, index) => client.negative(any(index)),
};

const count = (message: RegExp): Refusal => ["RangeError", "ERR_EAS_ARG_OPTION", message];
const timeout = (name: "TypeError" | "RangeError", message: RegExp): Refusal => [name, "ERR_EAS_ARG_TIMEOUT", message];
const code = (message: RegExp): Refusal => ["TypeError", "ERR_EAS_ARG_TAG", message];

const undefinedOption = (message: RegExp): Refusal => ["TypeError", "ERR_EAS_ARG_OPTION", message];

const CASES: Case[] = [
  ...["get", "count", "watch", "consume"].map(
    (operation): Case => [
      `${operation}: tags, requestId`,
      (client) => (TAGGED[operation] as (typeof TAGGED)[string])(client, { a: "1", requestId: "r" }),
      tag(/tag "requestId" cannot be used: .*requestId option of get and put/),
    ],
  ),
  ...["requestId", "index", "tags"].map(
    (name): Case => [
      `get: ${name} undefined, which would select the first item of the queue`,
      (client) => client.get({ [name]: undefined } as object),
      undefinedOption(new RegExp(`get: ${name} is undefined\\. Give it a value, or leave it out`)),
    ],
  ),
  [
    "put: requestId undefined",
    (client) => client.put("x", { requestId: any(undefined) }),
    undefinedOption(/put: requestId is undefined/),
  ],
  [
    "watch: tags undefined",
    async (client) => client.watch(0, 1, { tags: any(undefined), autoCommit: true }),
    undefinedOption(/watch: tags is undefined/),
  ],
  [
    "consume: tags undefined",
    (client) => client.consume(() => {}, { tags: any(undefined) }),
    undefinedOption(/tags is undefined/),
  ],
  ...["truncate", "delete", "commit", "negative"].map(
    (operation): Case => [
      `${operation}: no index`,
      (client) => (INDEXED[operation] as (typeof INDEXED)[string])(client, undefined),
      ["TypeError", "ERR_EAS_ARG_INDEX", /is undefined: it must be an integer/],
    ],
  ),
  ...["", null, 5].map(
    (value): Case => [
      `put: requestId ${String(value)}`,
      (client) => client.put("x", { requestId: any(value) }),
      code(/requestId is .*: it must be a non-empty string/),
    ],
  ),
  ...Object.entries(TAGGED).flatMap(([operation, call]) =>
    BAD_TAGS.map(
      ([name, tags, refusal]): Case => [`${operation}: tags, ${name}`, (client) => call(client, tags), refusal],
    ),
  ),
  ...Object.entries(INDEXED).flatMap(([operation, call]) =>
    BAD_INDEXES.map(
      ([name, value, refusal]): Case => [`${operation}: index, ${name}`, (client) => call(client, value), refusal],
    ),
  ),
  ...["delete", "commit", "negative"].map(
    (operation): Case => [
      `${operation}: an object that is not a list`,
      (client) => (INDEXED.delete as (typeof INDEXED)[string])(client, { 0: 1 }),
      ["TypeError", "ERR_EAS_ARG_INDEX", /indexes is a plain object: it must be an index or an array of indexes/],
    ],
  ),
  [
    "an invalid index in a list, whose position the error names",
    (client) => client.commit([1, 2n, any("x"), 4]),
    ["TypeError", "ERR_EAS_ARG_INDEX", /indexes\[2\] is "x"/],
  ],
  [
    "one invalid index among hundreds, none of which is sent",
    (client) => client.delete([...Array.from({ length: 300 }, (_, i) => i), -5]),
    ["RangeError", "ERR_EAS_ARG_INDEX", /indexes\[300\] is -5/],
  ],
  [
    "search: index 0",
    (client) => client.search(0),
    ["RangeError", "ERR_EAS_ARG_INDEX", /index is 0: it must be at least 1/],
  ],
  ...[-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "1", null, 1n].flatMap((value): Case[] => [
    [
      `put: priority ${String(value)}`,
      (client) => client.put("x", { priority: any(value) }),
      count(/priority is .*at least 0/),
    ],
    [
      `count: priority ${String(value)}`,
      (client) => client.count({ priority: any(value) }),
      count(/priority is .*at least 0/),
    ],
    [`get: length ${String(value)}`, (client) => client.get({ length: any(value) }), count(/length is .*at least 1/)],
  ]),
  ["get: length 0", (client) => client.get({ length: 0 }), count(/length is 0: .*at least 1/)],
  ...[-1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map(
    (value): Case => [
      `get: timeout ${value}`,
      (client) => client.get({ timeout: value }),
      timeout("RangeError", /timeout is .*milliseconds of at least 0, or a duration such as "5s"/),
    ],
  ),
  ...[
    "",
    "5",
    "1.5",
    "s",
    "5 s",
    " 5s",
    "5s ",
    "-5s",
    "+5s",
    "5d",
    "5S",
    "1h 30m",
    "1e3s",
    "5s\n",
    "0x5s",
    "1..5s",
    ".s",
  ].map(
    (value): Case => [
      `get: timeout ${JSON.stringify(value)}`,
      (client) => client.get({ timeout: value }),
      timeout("TypeError", /timeout is ".*": it must be milliseconds, or a duration with units/),
    ],
  ),
  ...[null, true, 5n, {}].map(
    (value): Case => [
      `get: timeout of type ${typeof value} (${String(value)})`,
      (client) => client.get({ timeout: any(value) }),
      timeout("TypeError", /timeout is .*: it must be milliseconds/),
    ],
  ),
  // The maximum delay of a timer is 2^31 - 1 ms. A timer with a longer delay fires immediately.
  ...[2 ** 31, 1e21, "9999h", "600h", `${"9".repeat(400)}s`].map(
    (value): Case => [
      `get: timeout beyond all timers, ${String(value).slice(0, 20)}`,
      (client) => client.get({ timeout: value }),
      timeout("RangeError", /timeout is/),
    ],
  ),
  ...[0, -1, Number.NaN, "5"].map(
    (value): Case => [
      `get: attemptTimeout ${String(value)}`,
      (client) => client.get({ attemptTimeout: any(value) }),
      timeout("RangeError", /imeout is/),
    ],
  ),
  ...["yes", 1, null].flatMap((value): Case[] => [
    [
      `get: autoDelete ${value}`,
      (client) => client.get({ autoDelete: any(value) }),
      ["TypeError", "ERR_EAS_ARG_OPTION", /autoDelete is .*: it must be true or false/],
    ],
    [
      `end: force ${value}`,
      (client) => client.end({ force: any(value) }),
      ["TypeError", "ERR_EAS_ARG_OPTION", /force is .*: it must be true or false/],
    ],
  ]),
  ...["", 5, null].map(
    (value): Case => [
      `get: requestId ${String(value)}`,
      (client) => client.get({ requestId: any(value) }),
      code(/requestId is .*: it must be a non-empty string/),
    ],
  ),
  [
    "get: requestId with an unpaired surrogate",
    (client) => client.get({ requestId: "\ud800" }),
    code(/requestId has an unpaired surrogate/),
  ],
  ...[
    "",
    "shutdown",
    "Model error",
    "Model.error",
    "Model.Error.More",
    "Model..Error",
    "ModelX1",
    "1a",
    "-1",
    "Größe",
    "A".repeat(21),
    "123456789012345678901",
    "Shutdown\n",
    5,
    null,
  ].map(
    (value): Case => [
      `negative: code ${JSON.stringify(value)}`,
      (client) => client.negative(1, { code: any(value) }),
      code(/code is .*: it must be a name such as "Shutdown" or "Model\.Error", or digits, at most 20 characters/),
    ],
  ),
  ["negative: reason 5", (client) => client.negative(1, { reason: any(5) }), code(/reason is 5: it must be a string/)],
  ...[undefined, null, 5, 5n, true, ["a"], {}, Float32Array.of(1), new DataView(new ArrayBuffer(1)), () => "x"].map(
    (value): Case => [
      `put: ${Object.prototype.toString.call(value)}`,
      (client) => client.put(any(value)),
      ["TypeError", "ERR_EAS_ARG_REQUEST", /put accepts a string, a Uint8Array, an ArrayBuffer or a Blob, not /],
    ],
  ),
  // The official SDKs take positional arguments. Ignoring them here would return the first item of the queue.
  ...["id", null, 5, ["id"]].flatMap((value): Case[] =>
    [
      ["put", (client: QueueClient) => client.put("x", any(value))] as const,
      ["get", (client: QueueClient) => client.get(any(value))] as const,
      ["count", (client: QueueClient) => client.count(any(value))] as const,
      ["end", (client: QueueClient) => client.end(any(value))] as const,
      ["negative", (client: QueueClient) => client.negative(1, any(value))] as const,
      ["call options", (client: QueueClient) => client.truncate(1, any(value))] as const,
    ].map(([operation, call]) => [
      `${operation}: options ${JSON.stringify(value)}`,
      call,
      ["TypeError", "ERR_EAS_ARG_OPTION", new RegExp(`^${operation} accepts options such as \\{ .* \\}, not `)],
    ]),
  ),
  [
    "put: path with a .. segment",
    (client) => client.put("x", { path: "/../other" }),
    ["TypeError", "ERR_EAS_ARG_PATH", /".." segment, which would leave the service/],
  ],
  ["put: path with #", (client) => client.put("x", { path: "/a#b" }), ["TypeError", "ERR_EAS_ARG_PATH", /has a "#"/]],
  [
    "put: header with a line break",
    (client) => client.put("x", { headers: { a: "1\r\nb: 2" } }),
    ["TypeError", "ERR_EAS_ARG_HEADER", /header a contains a control character/],
  ],
  [
    "put: an authorization header in addition to the token",
    (client) => client.put("x", { headers: { Authorization: "x" } }),
    ["TypeError", "ERR_EAS_ARG_HEADER", /header authorization is set by the token/],
  ],
  ["put: retryCount -1", (client) => client.put("x", { retryCount: -1 }), count(/retryCount is -1/)],
  ["put: timeout 0", (client) => client.put("x", { timeout: 0 }), timeout("RangeError", /timeout is 0/)],
  [
    "put: signal that is not an AbortSignal",
    (client) => client.put("x", { signal: any({}) }),
    ["TypeError", "ERR_EAS_ARG_OPTION", /signal is a plain object: it must be an AbortSignal/],
  ],
  [
    "put: a body larger than maxRequestBytes",
    (client) => client.put("x".repeat(1001)),
    ["RangeError", "ERR_EAS_ARG_BODY_SIZE", /1001 bytes, but the limit is 1000/],
  ],
];

async function expectRefused(call: Case[1], [name, errorCode, message]: Refusal): Promise<void> {
  const { client, transport } = recordingQueueClient({ maxRequestBytes: 1000 });
  const error = await errorOf((async () => call(client))());
  expect(error).toMatchObject({ name, code: errorCode, message: expect.stringMatching(message) });
  expect(error).toBeInstanceOf(name === "TypeError" ? TypeError : RangeError);
  expect(transport.requests).toEqual([]);
}

test.each(CASES)("rejects invalid arguments without sending a request (%s)", async (_name, call, refusal) => {
  await expectRefused(call, refusal);
});

describe("the constructor rejects invalid options", () => {
  const cases: [name: string, options: unknown, refusal: Refusal][] = [
    [
      "null",
      null,
      ["TypeError", "ERR_EAS_ARG_OPTION", /QueueClient accepts an options object or an endpoint string, not null/],
    ],
    ["a number", 5, ["TypeError", "ERR_EAS_ARG_OPTION", /accepts an options object or an endpoint string, not 5/]],
    [
      "a signature",
      { auth: "signature" },
      ["TypeError", "ERR_EAS_ARG_OPTION", /auth must be "token" or "bearer" for a queue/],
    ],
    ["auth auto", { auth: "auto" }, ["TypeError", "ERR_EAS_ARG_OPTION", /auth must be "token" or "bearer"/]],
    ["a uid in Chinese", { uid: "你" }, ["TypeError", "ERR_EAS_ARG_HEADER", /header uid contains .* outside Latin-1/]],
    [
      "a uid with a line break",
      { uid: "a\nb" },
      ["TypeError", "ERR_EAS_ARG_HEADER", /header uid contains a control character/],
    ],
    ["a uid that is a number", { uid: 5 }, ["TypeError", "ERR_EAS_ARG_OPTION", /uid is 5: it must be a name/]],
    ["a uid that is null", { uid: null }, ["TypeError", "ERR_EAS_ARG_OPTION", /uid is null: it must be a name/]],
    ["a gid in Chinese", { gid: "你" }, ["TypeError", "ERR_EAS_ARG_HEADER", /header gid contains .* outside Latin-1/]],
    [
      "a logger without warn()",
      { logger: {} },
      ["TypeError", "ERR_EAS_ARG_OPTION", /logger is a plain object: it must be an object with warn\(\)/],
    ],
    [
      "a logger that is a function",
      { logger: () => {} },
      ["TypeError", "ERR_EAS_ARG_OPTION", /logger is the function/],
    ],
    ["a queue name with ..", { queueName: "a/../b" }, ["TypeError", "ERR_EAS_ARG_SERVICE_NAME", /\.\./]],
    ["a queue name with a query", { queueName: "a?b=c" }, ["TypeError", "ERR_EAS_ARG_SERVICE_NAME", /query/]],
    ["an endpoint with another scheme", { endpoint: "ws://h" }, ["TypeError", "ERR_EAS_ARG_ENDPOINT", /./]],
    ["a timeout of 0", { timeout: 0 }, ["RangeError", "ERR_EAS_ARG_TIMEOUT", /timeout is 0/]],
    ["a transport that is not a Transport", { transport: {} }, ["TypeError", "ERR_EAS_ARG_OPTION", /transport is/]],
  ];
  test.each(cases)("%s", (_name, options, [name, errorCode, message]) => {
    const error = thrownBy(() => new QueueClient(any(options)));
    expect(error).toMatchObject({ name, code: errorCode, message: expect.stringMatching(message) });
  });

  test("the setters reject invalid values, and keep the previous value", async () => {
    const { client, transport } = recordingQueueClient();
    const setters: [() => unknown, string][] = [
      [() => client.setEndpoint("ftp://h"), "ERR_EAS_ARG_ENDPOINT"],
      [() => client.setToken(any(5)), "ERR_EAS_ARG_TOKEN"],
      [() => client.setTimeout(0), "ERR_EAS_ARG_TIMEOUT"],
      [() => client.setRetryCount(-1), "ERR_EAS_ARG_OPTION"],
      [() => client.setMaxConnectionCount(0), "ERR_EAS_ARG_OPTION"],
      [() => client.setContentType("a\nb"), "ERR_EAS_ARG_HEADER"],
      [() => client.addExtraHeaders({ "a b": "c" }), "ERR_EAS_ARG_HEADER"],
      [() => client.setLogger(any({})), "ERR_EAS_ARG_OPTION"],
      [() => client.setLogger(any(undefined)), "ERR_EAS_ARG_OPTION"],
      [() => client.init("你"), "ERR_EAS_ARG_HEADER"],
      [() => client.init("a", any(5)), "ERR_EAS_ARG_OPTION"],
    ];
    for (const [set, errorCode] of setters) expect(thrownBy(set)).toMatchObject({ code: errorCode });
    await client.count();
    expect(transport.requests[0]?.origin).toBe("http://127.0.0.1:9");
    expect(transport.header("authorization")).toBe(TOKEN);
    expect(transport.requests[0]?.headers.map(([name]) => name)).not.toContain("content-type");
  });

  test("rejects options that do not fit together at the first call", async () => {
    const nameless = new QueueClient({ endpoint: "http://h" });
    expect(await errorOf(nameless.get())).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_SERVICE_NAME" });
    const direct = queueClientOf({ origin: "" }, { endpointType: "DIRECT" });
    expect(await errorOf(direct.get())).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_ENDPOINT" });
  });
});

describe("watch", () => {
  const watchRefusal = (name: "TypeError" | "RangeError", message: RegExp): Refusal => [
    name,
    "ERR_EAS_ARG_WATCH",
    message,
  ];
  const cases: [name: string, call: (client: QueueClient) => unknown, refusal: Refusal][] = [
    ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "5", undefined, null, 5n].map(
      (window): (typeof cases)[number] => [
        `window ${String(window)}`,
        (client) => client.watch(0, any(window)),
        watchRefusal("RangeError", /window is .*: it must be an integer of at least 1/),
      ],
    ),
    ["options null", (client) => client.watch(0, 1, any(null)), watchRefusal("TypeError", /watch accepts options/)],
    ["options true", (client) => client.watch(0, 1, any(true)), watchRefusal("TypeError", /not true/)],
    ["indexOnly 1", (client) => client.watch(0, 1, { indexOnly: any(1) }), watchRefusal("TypeError", /indexOnly is 1/)],
    [
      "autoCommit null",
      (client) => client.watch(0, 1, { autoCommit: any(null) }),
      watchRefusal("TypeError", /autoCommit/),
    ],
    [
      "transport ws",
      (client) => client.watch(0, 1, { transport: any("ws") }),
      watchRefusal("TypeError", /transport is "ws": .*websocket/),
    ],
    [
      "reconnect true",
      (client) => client.watch(0, 1, { reconnect: any(true) }),
      watchRefusal("TypeError", /reconnect is true/),
    ],
    [
      "reconnect null",
      (client) => client.watch(0, 1, { reconnect: any(null) }),
      watchRefusal("TypeError", /reconnect is null/),
    ],
    [
      "reconnect.attempts -1",
      (client) => client.watch(0, 1, { reconnect: { attempts: -1 } }),
      count(/reconnect\.attempts is -1/),
    ],
    [
      "reconnect.minDelay 0",
      (client) => client.watch(0, 1, { reconnect: { minDelay: 0 } }),
      timeout("RangeError", /reconnect\.minDelay is 0/),
    ],
    [
      "reconnect.maxDelay too long",
      (client) => client.watch(0, 1, { reconnect: { maxDelay: 2 ** 31 } }),
      timeout("RangeError", /reconnect\.maxDelay is/),
    ],
    [
      "onStatus that is not a function",
      (client) => client.watch(0, 1, { onStatus: any("x") }),
      ["TypeError", "ERR_EAS_ARG_OPTION", /onStatus is "x": it must be a function/],
    ],
    [
      "signal that is not an AbortSignal",
      (client) => client.watch(0, 1, { signal: any({}) }),
      ["TypeError", "ERR_EAS_ARG_OPTION", /signal is/],
    ],
  ];
  test.each(cases)(
    "%s: throws synchronously, without opening a connection",
    (_name, call, [name, errorCode, message]) => {
      const dials: string[] = [];
      const { client, transport } = recordingQueueClient({
        dialWebSocket: (url) => {
          dials.push(url);
          return new Promise(() => {});
        },
      });
      expect(thrownBy(() => call(client))).toMatchObject({
        name,
        code: errorCode,
        message: expect.stringMatching(message),
      });
      expect(dials).toEqual([]);
      expect(transport.requests).toEqual([]);
    },
  );

  test("refuses a second watcher of one client while the first is open", async () => {
    const dialWebSocket: WebSocketDialer = (_url, { signal }) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
    const options = { dialWebSocket, transport: new RecordingTransport() };
    const client = queueClientOf({ origin: "http://127.0.0.1:9" }, options);
    const first = client.watch(0, 1);
    const refused = { name: "TypeError", code: "ERR_EAS_ARG_WATCH", message: /already has a watcher: close it first/ };
    expect(thrownBy(() => client.watch(0, 1))).toMatchObject({
      ...refused,
      message: expect.stringMatching(refused.message),
    });
    expect(await errorOf(client.consume(() => {}))).toMatchObject({ code: refused.code });
    expect(first.isClosed).toBe(false);
    queueClientOf({ origin: "http://127.0.0.1:9" }, options).watch(0, 1);
    await first.close();
    expect(client.watch(0, 1).isClosed).toBe(false);
  });
});

describe("frames", () => {
  test("rejects an invalid code in frame.negative() too", async () => {
    const { client, transport } = recordingQueueClient({}, ({ method }) =>
      method === "GET"
        ? transportAnswer(200, { "content-type": "application/json" }, '[{"index":1,"tags":{},"data":""}]')
        : undefined,
    );
    const [frame] = (await client.get()) as [DataFrame];
    expect(await errorOf(frame.negative("no code"))).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_TAG" });
    expect(transport.requests).toHaveLength(1);
  });
});
