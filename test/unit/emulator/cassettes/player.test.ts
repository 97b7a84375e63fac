import { createHash } from "node:crypto";
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import {
  type Cassette,
  type CassetteInteraction,
  createEmulator,
  type EmulatorOptions,
  loadCassette,
  type ReplayOptions,
  readCassette,
  startEmulator,
  startRecorder,
} from "../../../../src/emulator/index.js";
import { PredictClient } from "../../../../src/index.js";
import { collect, errorOf, TOKEN } from "../../../support/calls.js";
import { sendRaw, temporaryDirectory } from "../../../support/cassettes.js";

afterEach(() => {
  vi.useRealTimers();
});

/** Builds a cassette by hand, as a program without a file system may do. */
class Builder {
  readonly interactions: CassetteInteraction[] = [];
  readonly bodies: Record<string, string> = {};

  /** Adds a request with the chunks of its response. */
  add(method: string, url: string, body: string, chunks: readonly string[], times: readonly number[] = []): this {
    const response = {
      status: 200,
      statusText: "OK",
      headers: [["content-type", "text/plain"]],
      delay: times[0] ?? 0,
      body: this.#store(chunks.join("")),
      chunks: chunks.map((chunk, i) => [times[i + 1] ?? 0, chunk.length]),
      end: "complete",
    };
    this.interactions.push({ request: { method, url, body: this.#store(body) }, response });
    return this;
  }

  /** Adds a WebSocket. */
  addSocket(url: string, messages: readonly (readonly ["client" | "service", number, string])[], by = "service"): this {
    const joined = (from: string) => messages.map(([by, , text]) => (by === from ? text : "")).join("");
    this.interactions.push({
      request: { method: "GET", url, upgrade: true },
      socket: {
        delay: 0,
        messages: messages.map(([by, at, text]) => [by, at, "text", text.length]),
        sent: this.#store(joined("client")),
        received: this.#store(joined("service")),
        close: { code: 4000, reason: "done", by },
      },
    });
    return this;
  }

  get cassette(): Cassette {
    return { format: "eas-prediction-cassette", version: 1, interactions: this.interactions, bodies: this.bodies };
  }

  #store(text: string): string | undefined {
    if (text === "") return undefined;
    const file = `${createHash("sha256").update(text).digest("hex")}.txt`;
    this.bodies[file] = text;
    return file;
  }
}

const PATH = "/api/predict/svc";

/** Starts a memory emulator with a cassette. The result sends a request and returns the status and text. */
function play(cassettes: EmulatorOptions["cassettes"], replay: ReplayOptions = {}, options: EmulatorOptions = {}) {
  const emulator = createEmulator({ cassettes, replay, ...options });
  const send = async (body: string, path = PATH, method = "POST", headers: Record<string, string> = {}) => {
    const init = { method, headers, ...(method !== "GET" && { body }) };
    const response = await emulator.fetch(new Request(`http://emulator${path}`, init));
    return [response.status, await response.text()] as const;
  };
  return { emulator, send };
}

function clientOf(emulator: { token: string; transport: any }, serviceName = "svc"): PredictClient {
  const client = new PredictClient({
    endpoint: "http://emulator",
    serviceName,
    token: emulator.token,
    transport: emulator.transport,
    logger: null,
  });
  onTestFinished(() => void client.close());
  return client;
}

describe("matching", () => {
  const { cassette } = new Builder()
    .add("POST", PATH, "a", ["first a"])
    .add("POST", PATH, "b", ["b"])
    .add("POST", PATH, "a", ["second a"])
    .add("POST", `${PATH}?x=1&y=2&x=3`, "a", ["with a query"])
    .add("GET", PATH, "", ["got"]);

  test("replays repeated requests in recorded order, among others", async () => {
    const { send } = play(cassette);
    expect(await send("a")).toEqual([200, "first a"]);
    expect(await send("b")).toEqual([200, "b"]);
    expect(await send("a")).toEqual([200, "second a"]);
    expect(await send("", PATH, "GET")).toEqual([200, "got"]);
    expect(await send("a", `${PATH}?y=2&x=1&x=3`)).toEqual([200, "with a query"]);
    expect(await send("a")).toEqual([
      501,
      `cassette: POST ${PATH} (1 bytes) was recorded 2 times and has been replayed. Set replay.repeat to repeat the last response.`,
    ]);
  });

  test("repeats the last response with repeat", async () => {
    const { send } = play(cassette, { repeat: true });
    const texts = [await send("a"), await send("a"), await send("a"), await send("a")].map(([, text]) => text);
    expect(texts).toEqual(["first a", "second a", "second a", "second a"]);
  });

  test("starts again after reset()", async () => {
    const { emulator, send } = play(cassette);
    expect(await send("a")).toEqual([200, "first a"]);
    emulator.reset();
    expect(await send("a")).toEqual([200, "first a"]);
  });

  test("reads several cassettes in order", async () => {
    const other = new Builder().add("POST", PATH, "a", ["third a"]).add("POST", PATH, "c", ["c"]).cassette;
    const { send } = play([cassette, other]);
    const texts = [await send("a"), await send("a"), await send("a"), await send("c")].map(([, text]) => text);
    expect(texts).toEqual(["first a", "second a", "third a", "c"]);
  });

  test.each<[string, string, string, string, RegExp]>([
    [
      "the body",
      "POST",
      PATH,
      "abc",
      /: the body differs at byte 1: "abc", recorded it ends after 1 bytes\. .* is interactions\[0\], POST \/api\/predict\/svc\.$/,
    ],
    ["the method", "PUT", PATH, "b", /: the method is PUT, recorded POST\. .* is interactions\[1\], POST \S+\.$/],
    [
      "the path",
      "POST",
      "/api/predict/svd",
      "a",
      /the path is "\/api\/predict\/svd", recorded "\/api\/predict\/svc"\. /,
    ],
    [
      "the query",
      "POST",
      `${PATH}?x=1&y=3&x=3`,
      "a",
      /: the query parameter y is "3", recorded "2"\. .* is interactions\[3\], /,
    ],
    ["a missing parameter", "POST", `${PATH}?x=1&x=3`, "a", /the query parameter y is absent, recorded "2"\. /],
  ])("names the nearest recorded request when %s differs", async (_, method, path, body, message) => {
    const { emulator, send } = play(cassette);
    const [status, text] = await send(body, path, method);
    expect(status).toBe(501);
    expect(text).toMatch(/^cassette: not recorded: /);
    expect(text).toMatch(message);
    expect(emulator.requests).toMatchObject([{ status: 501, url: path }]);
  });

  test("fails a call of the client at once, with the message", async () => {
    const { emulator } = play(cassette);
    const error = await errorOf(clientOf(emulator).predict("z"));
    expect([error.status, error.attempts]).toEqual([501, 1]);
    expect(error.message).toMatch("the body differs at byte 0");
  });

  test("says that an empty cassette is empty", async () => {
    expect((await play([]).send("a"))[1]).toMatch(/ is not recorded: the cassette is empty\.$/);
  });

  test("does not show binary bodies or the token in messages", async () => {
    const { send } = play(new Builder().add("POST", PATH, "\u0001\u0002", ["x"]).cassette);
    const [, text] = await send(`\u0000${TOKEN}`, `${PATH}?token=${TOKEN}`, "POST", { authorization: TOKEN });
    expect(text).toMatch("2 bytes of binary data");
    expect(text).not.toContain(TOKEN);
  });

  test("does not compare the random request ID of a put", async () => {
    expect(await play(cassette).send("a", `${PATH}?requestId=4711`)).toEqual([200, "first a"]);
    const recorded = new Builder().add("POST", `${PATH}?requestId=1&x=1`, "a", ["put"]).cassette;
    expect(await play(recorded).send("a", `${PATH}?x=1`)).toEqual([200, "put"]);
  });

  test.each<[string, ReplayOptions["match"], string, string]>([
    ["ignores the body", { body: false }, "other", PATH],
    ["ignores the query", { query: false }, "a", `${PATH}?z=1`],
    ["ignores the method and the path", { method: false, path: false }, "a", "/another"],
    ["compares bodies with a function", { body: (a, b) => a[0] === b[0] }, "abc", PATH],
    ["compares paths with a function", { path: (a, b) => a.startsWith(b) }, "a", `${PATH}/v2`],
    ["compares queries with a function", { query: (a, b) => a.size > b.size }, "a", `${PATH}?z=1`],
  ])("%s", async (_, match, body, path) => {
    expect(await play(cassette, { match }).send(body, path)).toEqual([200, "first a"]);
  });

  test("passes missing requests to services in lenient mode", async () => {
    const services = { svc: ({ body }: { body: Uint8Array }) => `live ${new TextDecoder().decode(body)}` };
    const { send } = play(cassette, { mode: "lenient" }, { services, token: "" });
    expect(await send("a")).toEqual([200, "first a"]);
    expect(await send("z")).toEqual([200, "live z"]);
    expect((await send("z", "/api/predict/none"))[0]).toBe(404);
  });

  test.each<[string, unknown, RegExp]>([
    ["mode", { mode: "loose" }, /^replay\.mode is "loose": it must be "strict" or "lenient"$/],
    ["speed", { speed: -1 }, /^replay\.speed is -1: it must be a finite number/],
    ["speed", { speed: Number.NaN }, /^replay\.speed is NaN/],
    ["repeat", { repeat: 1 }, /^replay\.repeat is 1/],
    ["match", { match: ["body"] }, /^replay\.match is an array/],
    [
      "match.method",
      { match: { method: () => true } },
      /^replay\.match\.method is .*: it must be true, false or a function/,
    ],
    ["match.host", { match: { host: true } }, /unknown option "host"/],
    ["secrets", { secrets: [1] }, /^replay\.secrets is an array: it must be a list of texts/],
    ["an unknown option", { strict: true }, /^replay: unknown option "strict"/],
    ["replay", "strict", /^replay is "strict"/],
  ])("rejects an invalid value of %s", (_, replay, message) => {
    expect(() => createEmulator({ cassettes: cassette, replay: replay as never })).toThrow(message);
  });
});

describe("timing", () => {
  const { cassette } = new Builder().add("POST", PATH, "a", ["one", "two", "three"], [100, 0, 50, 400]);
  const socket = new Builder().addSocket(PATH, [
    ["service", 100, "hi"],
    ["client", 150, "yes"],
    ["service", 350, "bye"],
  ]).cassette;

  test.each([
    [0, [0, 0, 0]],
    [1, [100, 150, 500]],
    [2, [50, 75, 250]],
    [0.5, [200, 300, 1000]],
  ])("replays the chunks at speed %d", async (speed, expected) => {
    vi.useFakeTimers();
    const { emulator } = play(cassette, { speed });
    const start = Date.now();
    const arrivals: [string, number][] = [];
    const read = async () => {
      const response = await emulator.fetch(new Request(`http://emulator${PATH}`, { method: "POST", body: "a" }));
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        arrivals.push([new TextDecoder().decode(chunk), Date.now() - start]);
      }
    };
    const done = read();
    await vi.advanceTimersByTimeAsync(2000);
    await done;
    expect(arrivals).toEqual(["one", "two", "three"].map((text, i) => [text, expected[i]]));
  });

  test("replays messages of a WebSocket after those of the client that preceded them", async () => {
    const { emulator } = play(socket);
    const connection = await clientOf(emulator).connect();
    connection.send("yes");
    const error = await errorOf(collect(connection));
    expect(error.message).toMatch("4000");
    emulator.reset();
    const again = await clientOf(emulator).connect();
    const messages: unknown[] = [];
    const reason = await errorOf(
      (async () => {
        for await (const message of again) {
          messages.push(message);
          if (message === "hi") again.send("no");
        }
      })(),
    );
    expect(messages).toEqual(["hi"]);
    expect(reason.message).toMatch('cassette: message 1: the body differs at byte 0: "no", recorded "yes"');
  });

  test("stops when the client disconnects", async () => {
    const { emulator } = play(cassette, { speed: 0.0001 });
    const controller = new AbortController();
    const { signal } = controller;
    const pending = emulator.fetch(new Request(`http://emulator${PATH}`, { method: "POST", body: "a", signal }));
    controller.abort(new Error("left"));
    await expect(pending).rejects.toThrow("left");
  });
});

describe("faults on top of cassettes", () => {
  const chunks = ["one ", "two ", "three"];
  const { cassette } = new Builder().add("POST", PATH, "a", chunks).add("POST", PATH, "b", ["b"]);

  test("apply before the recorded response, which stays available", async () => {
    const { emulator } = play(cassette);
    emulator.fault({ status: 503, body: "no healthy upstream", times: 2 });
    const { response, attempts } = await clientOf(emulator).predictDetailed("a");
    expect([String(response), attempts]).toEqual(["one two three", 3]);
  });

  test("apply to the recorded service", async () => {
    const { emulator, send } = play(cassette);
    emulator.fault({ service: "other", status: 500 });
    emulator.fault({ service: "svc", status: 418 });
    expect((await send("a"))[0]).toBe(418);
    expect(await send("b")).toEqual([200, "b"]);
    expect(emulator.requests.map(({ service }) => service)).toEqual(["svc", "svc"]);
  });

  test("break a recorded body", async () => {
    const { emulator } = play(cassette);
    emulator.fault({ reset: "in-body", chunks: 1 });
    const response = await emulator.fetch(new Request(`http://emulator${PATH}`, { method: "POST", body: "a" }));
    await expect(response.text()).rejects.toThrow("reset by an injected fault");
    emulator.reset();
    emulator.fault({ failure: "!", chunks: 2 });
    const cut = await emulator.fetch(new Request(`http://emulator${PATH}`, { method: "POST", body: "a" }));
    expect(await cut.text()).toBe("one two !");
  });

  test("break a recorded WebSocket", async () => {
    const messages = ["1", "2", "3"].map((text) => ["service", 0, text] as const);
    const { emulator } = play(new Builder().addSocket(PATH, messages).cassette);
    emulator.fault({ failure: "!", chunks: 2 });
    const connection = await clientOf(emulator).connect();
    const received: unknown[] = [];
    await errorOf(
      (async () => {
        for await (const message of connection) received.push(message);
      })(),
    );
    expect(received).toEqual(["1", "2", "!"]);
  });
});

describe("damaged cassettes", () => {
  const whole = new Builder().add("POST", PATH, "a", ["one", "two"]).addSocket(PATH, [["service", 0, "hi"]]).cassette;
  const change = (edit: (cassette: any) => void): Cassette => {
    const copy = structuredClone(whole);
    edit(copy);
    return copy;
  };
  const [first, second] = [0, 1];

  test("the undamaged cassette is accepted", () => {
    expect(() => createEmulator({ cassettes: whole })).not.toThrow();
    expect(() => createEmulator({ cassettes: JSON.parse(JSON.stringify(whole)) })).not.toThrow();
  });

  test.each<[string, unknown, RegExp]>([
    ["null", null, /^cassette: it is null\. Expected an object with format "eas-prediction-cassette"\.$/],
    ["another format", change((c) => (c.format = "har")), /^cassette: format is "har"\./],
    ["an unknown version", change((c) => (c.version = 2)), /^cassette, version: it is 2\. Expected 1/],
    [
      "no interactions",
      change((c) => delete c.interactions),
      /^cassette, interactions: it is undefined\. Expected a list\.$/,
    ],
    ["no bodies", change((c) => delete c.bodies), /^cassette, bodies: "[0-9a-f]{64}\.txt" is missing/],
    ["a missing body", change((c) => (c.bodies = {})), /is missing\. Expected the content of each body file\.$/],
    [
      "a changed body",
      change((c) => (c.bodies[c.interactions[first].request.body] = "changed")),
      /^cassette, bodies: the content of "\S+" does not match the SHA-256 in its name\./,
    ],
    [
      "a body of another type",
      change((c) => (c.bodies[c.interactions[first].request.body] = 1)),
      /it is 1\. Expected bytes, text, or an object \{ base64 \}\.$/,
    ],
    [
      "a name of a body file that leads out of the folder",
      change((c) => (c.interactions[first].response.body = "../../etc/passwd")),
      /^cassette, interactions\[0\]\.response\.body: it is "\.\.\/\.\.\/etc\/passwd"\. Expected the name of a body file/,
    ],
    [
      "a name from the prototype",
      change((c) => (c.interactions[first].request.body = "__proto__")),
      /name of a body file/,
    ],
    [
      "an interaction that is null",
      change((c) => (c.interactions[first] = null)),
      /^cassette, interactions\[0\]: it is null/,
    ],
    ["no request", change((c) => delete c.interactions[first].request), /interactions\[0\]\.request: it is undefined/],
    ["no result", change((c) => delete c.interactions[first].response), /it has no result\. Expected exactly one/],
    ["two results", change((c) => (c.interactions[first].broken = true)), /it has response and broken/],
    [
      "an invalid status",
      change((c) => (c.interactions[first].response.status = 99)),
      /\.status: it is 99\. Expected an integer from 200 to 599\.$/,
    ],
    [
      "an invalid header",
      change((c) => (c.interactions[first].response.headers = [["a b", "c"]])),
      /headers\[0\]: it is not a valid header/,
    ],
    [
      "a reason phrase with a line end",
      change((c) => (c.interactions[first].response.statusText = "OK\r\nx: y")),
      /\.statusText: it is "OK\\r\\nx: y"\. Expected a reason phrase/,
    ],
    [
      "a content-length that differs from the body",
      change((c) => c.interactions[first].response.headers.push(["Content-Length", "10"])),
      /headers: content-length is "10"\. Expected 6, the size of the body\.$/,
    ],
    [
      "a header of the connection",
      change((c) => c.interactions[first].response.headers.push(["transfer-encoding", "gzip"])),
      /headers\[1\]: it is transfer-encoding\. Expected a header that does not belong to the connection\.$/,
    ],
    ["a negative delay", change((c) => (c.interactions[first].response.delay = -1)), /\.delay: it is -1/],
    [
      "chunks of another size",
      change((c) => c.interactions[first].response.chunks.pop()),
      /chunks: the chunks are 3 bytes long\. Expected 6 bytes/,
    ],
    ["a chunk that is text", change((c) => (c.interactions[first].response.chunks[0] = "0 3")), /chunks\[0\]: it is /],
    [
      "an unknown end",
      change((c) => (c.interactions[first].response.end = "?")),
      /\.end: it is "\?"\. Expected one of "complete", /,
    ],
    [
      "an unknown sender",
      change((c) => (c.interactions[second].socket.messages[0][0] = "me")),
      /messages\[0\]: it is an array/,
    ],
    [
      "messages of another size",
      change((c) => (c.interactions[second].socket.messages = [])),
      /the service's messages are 0 bytes long/,
    ],
    ["a close code below 1000", change((c) => (c.interactions[second].socket.close.code = 1)), /close\.code: it is 1/],
    ...[1004, 1015, 2000].map((code): [string, unknown, RegExp] => [
      `the close code ${code}, which cannot be sent`,
      change((c) => (c.interactions[second].socket.close.code = code)),
      /close\.code: it is \d{4}\. Expected a close code that can be sent, or 1005 or 1006\.$/,
    ]),
    [
      "a subprotocol with a line end",
      change((c) => (c.interactions[second].socket.protocol = "a\r\nx: y")),
      /socket\.protocol: it is "a\\r\\nx: y"\. Expected the name of a subprotocol\.$/,
    ],
  ])("are rejected: %s", (_, cassettes, message) => {
    expect(() => createEmulator({ cassettes: cassettes as Cassette })).toThrow(message);
    expect(() => createEmulator({ cassettes: cassettes as Cassette })).toThrow(TypeError);
  });

  test("the content-length of a response without a body is not compared", async () => {
    const cassettes = change((c) => {
      c.interactions[first].request = { method: "HEAD", url: PATH };
      c.interactions[first].response.headers.push(["content-length", "10"]);
      for (const name of ["body", "chunks"]) delete c.interactions[first].response[name];
    });
    const { emulator } = play(cassettes);
    const response = await emulator.fetch(new Request(`http://emulator${PATH}`, { method: "HEAD" }));
    expect([response.status, response.headers.get("content-length")]).toEqual([200, "10"]);
  });

  test("are rejected when they are loaded from a directory", async () => {
    const directory = await temporaryDirectory();
    const emulator = await startEmulator({ token: "" });
    onTestFinished(() => emulator.close());
    const recorder = await startRecorder({ target: emulator.endpoint, directory });
    await sendRaw(recorder.endpoint, { path: "/api/predict/echo", body: "hello" });
    await recorder.close();
    expect((await loadCassette(directory)).interactions).toHaveLength(1);

    const damage = async (edit: (copy: string, body: string) => Promise<void>) => {
      const copy = await temporaryDirectory();
      await cp(directory, copy, { recursive: true });
      const [body] = (await readdir(`${copy}/bodies`)).filter((file) => !file.startsWith("."));
      await edit(copy, `${copy}/bodies/${body}`);
      return (await errorOf(loadCassette(copy))).message;
    };
    const edit = async (copy: string, change: (text: string) => string) => {
      const file = `${copy}/cassette.json`;
      await writeFile(file, change(await readFile(file, "utf8")));
    };
    expect(await damage((copy) => edit(copy, (text) => text.slice(0, 50)))).toMatch(
      /^cassette, cassette\.json: it is not JSON: /,
    );
    expect(await damage((copy) => rm(`${copy}/cassette.json`))).toMatch(/cassette\.json: it cannot be read: ENOENT/);
    expect(await damage((_, body) => rm(body))).toMatch(
      /^cassette, bodies\/[0-9a-f]{64}\.bin: it cannot be read: ENOENT/,
    );
    expect(await damage((_, body) => writeFile(body, "hello\r\n"))).toMatch(/add "\* -text" to \.gitattributes/);
    expect(await damage((copy) => edit(copy, (text) => text.replace(/[0-9a-f]{64}\.bin/, "../x")))).toMatch(
      /request\.body: it is "\.\.\/x"/,
    );
    expect(await damage((copy) => edit(copy, (text) => text.replace('"version": 1', '"version": 9')))).toMatch(
      /^cassette, version: it is 9/,
    );
  });

  test("a cassette can be read from any place", async () => {
    const { bodies, ...index } = whole;
    const read = vi.fn(async (file: string) => {
      const text = file === "cassette.json" ? JSON.stringify(index) : bodies[file.replace("bodies/", "")];
      return new TextEncoder().encode(text as string);
    });
    const { send } = play(await readCassette(read));
    expect(await send("a")).toEqual([200, "onetwo"]);
    expect(read.mock.calls.every(([file]) => /^(cassette\.json|bodies\/[0-9a-f]{64}\.txt)$/.test(file))).toBe(true);
  });
});
