import { once } from "node:events";
import { afterEach, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import {
  type EmulatorCall,
  type EmulatorOptions,
  type EmulatorServiceSocket,
  type RunningEmulator,
  startEmulator,
} from "../../../src/emulator/index.js";

const running: RunningEmulator[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((emulator) => emulator.close()));
});

type Talk = (call: EmulatorCall, socket: EmulatorServiceSocket) => void | Promise<void>;

async function start(socket?: Talk, options: EmulatorOptions & { protocols?: string[] } = {}) {
  const { protocols, ...rest } = options;
  const talk = { handle: () => "over HTTP", ...(socket && { socket }), ...(protocols && { protocols }) };
  const emulator = await startEmulator({ token: "t", services: { talk }, ...rest });
  running.push(emulator);
  return emulator;
}

/** A caller's end of a WebSocket, independent of the transport. */
interface End {
  readonly messages: (string | Uint8Array)[];
  readonly closed: Promise<{ code: number; reason: string }>;
  send(message: string | Uint8Array): void;
  close(code: number, reason: string): void;
  cut(): void;
}
interface Dial {
  readonly path?: string;
  readonly protocols?: string[];
  readonly token?: string;
}
type Opener = (emulator: RunningEmulator, dial?: Dial) => Promise<End>;

const urlOf = (emulator: RunningEmulator, path = "talk") =>
  `${emulator.endpoint.replace("http", "ws")}/api/predict/${path}`;

function webSocketOf(emulator: RunningEmulator, { path, protocols = [], token = "t" }: Dial = {}) {
  const socket = new WebSocket(urlOf(emulator, path), protocols, { headers: { authorization: token } });
  const messages: (string | Uint8Array)[] = [];
  socket.on("message", (data: Buffer, isBinary) => messages.push(isBinary ? new Uint8Array(data) : data.toString()));
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  return { socket, messages, closed };
}

const overWebSocket: Opener = async (emulator, dial) => {
  const { socket, messages, closed } = webSocketOf(emulator, dial);
  await once(socket, "open");
  return {
    messages,
    closed,
    send: (message) => socket.send(message),
    close: (code, reason) => socket.close(code, reason),
    cut: () => socket.terminate(),
  };
};

const inMemory: Opener = async (emulator, { path, protocols = [], token = "t" } = {}) => {
  const connection = await emulator.dialWebSocket(urlOf(emulator, path), {
    headers: [["authorization", token]],
    protocols,
    signal: new AbortController().signal,
  });
  const messages: (string | Uint8Array)[] = [];
  connection.onMessage = (message) => messages.push(message);
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    connection.onClose = ({ code, reason }) => resolve({ code, reason });
  });
  return {
    messages,
    closed,
    send: (message) => connection.send(message),
    close: (code, reason) => connection.close(code, reason),
    cut: () => connection.terminate(),
  };
};

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 5000, interval: 2 });

describe.each([
  ["WebSocket", overWebSocket],
  ["in memory", inMemory],
])("%s", (_, open) => {
  test("echoes text and bytes in order", async () => {
    const emulator = await start();
    const end = await open(emulator, { path: "echo" });
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251);
    const sent = ["你好", new Uint8Array([0, 255]), "", new Uint8Array(0), "🙂".repeat(1000), bytes];
    for (const message of sent) end.send(message);
    await eventually(() => expect(end.messages).toHaveLength(sent.length));
    expect(end.messages).toEqual(sent);
    end.close(1000, "done");
    expect(await end.closed).toEqual({ code: 1000, reason: "done" });
    expect(emulator.requests).toMatchObject([{ method: "GET", service: "echo", auth: "token", status: 101 }]);
  });

  test("passes the call to the service and copies messages", async () => {
    const calls: EmulatorCall[] = [];
    const received: unknown[] = [];
    const own = new Uint8Array([1, 2, 3]);
    const emulator = await start((call, socket) => {
      calls.push(call);
      socket.onMessage = (message) => void received.push(message);
      socket.send(own.subarray(1));
      own.fill(9);
    });
    const end = await open(emulator, { path: "talk/v1/x%20y?q=你&r=" });
    await eventually(() => expect(end.messages).toEqual([new Uint8Array([2, 3])]));
    const message = new Uint8Array([4, 5]);
    end.send(message.subarray(0, 1));
    message.fill(9);
    end.send("text");
    await eventually(() => expect(received).toHaveLength(2));
    expect(received).toEqual([new Uint8Array([4]), "text"]);
    expect(calls[0]).toMatchObject({ service: "talk", method: "GET", path: "/v1/x%20y", body: new Uint8Array(0) });
    expect(calls[0]?.query.get("q")).toBe("你");
    expect(calls[0]?.headers.get("authorization")).toBe("t");
  });

  test("buffers messages until the service sets onMessage", async () => {
    let take = () => {};
    const emulator = await start((_call, socket) => {
      take = () => {
        socket.onMessage = (message) => socket.send(`taken: ${message}`);
      };
    });
    const end = await open(emulator);
    for (const message of ["a", "b", "c"]) end.send(message);
    const other = await open(emulator, { path: "echo" });
    other.send("a round trip later");
    await eventually(() => expect(other.messages).toHaveLength(1));
    expect(end.messages).toEqual([]);
    take();
    await eventually(() => expect(end.messages).toEqual(["taken: a", "taken: b", "taken: c"]));
  });

  test("closes after the service's messages and ignores later messages", async () => {
    const closes: unknown[] = [];
    const emulator = await start((call, socket) => {
      socket.onClose = (close) => closes.push([close, call.signal.aborted]);
      socket.send("first");
      socket.send("last");
      socket.close(4001, "再见");
      socket.close(1000, "again");
      socket.send("after the end");
    });
    const end = await open(emulator);
    expect(await end.closed).toEqual({ code: 4001, reason: "再见" });
    expect(end.messages).toEqual(["first", "last"]);
    await eventually(() => expect(closes).toHaveLength(1));
    expect(closes).toEqual([[{ code: 4001, reason: "再见" }, true]]);
  });

  test("notifies the service when the caller closes or the connection breaks", async () => {
    const closes: unknown[] = [];
    const emulator = await start((call, socket) => {
      call.signal.addEventListener("abort", () => closes.push("abort"));
      socket.onClose = (close) => closes.push(close);
    });
    (await open(emulator)).close(4002, "enough");
    await eventually(() => expect(closes).toEqual(["abort", { code: 4002, reason: "enough" }]));
    (await open(emulator)).cut();
    await eventually(() => expect(closes.slice(2)).toEqual(["abort", { code: 1006, reason: "" }]));
  });

  test.each([
    ["at once", () => Promise.reject(new Error("no model"))],
    [
      "when the service throws",
      () => {
        throw new Error("no model");
      },
    ],
    [
      "when onMessage throws",
      (_call: EmulatorCall, socket: EmulatorServiceSocket) => {
        socket.onMessage = () => {
          throw new Error("no model");
        };
      },
    ],
    [
      "when onMessage rejects",
      (_call: EmulatorCall, socket: EmulatorServiceSocket) => {
        socket.onMessage = async () => {
          await Promise.resolve();
          throw new Error("no model");
        };
      },
    ],
  ] as [string, Talk][])("closes with 1011 and the error message: %s", async (_, talk) => {
    const end = await open(await start(talk));
    end.send("go");
    expect(await end.closed).toEqual({ code: 1011, reason: "no model" });
  });

  test("truncates a long error message at a character boundary", async () => {
    const end = await open(await start(() => Promise.reject(new Error(`a${"错".repeat(100)}`))));
    expect(await end.closed).toEqual({ code: 1011, reason: `a${"错".repeat(40)}` });
  });

  test("throws for an invalid close code or reason", async () => {
    const errors: unknown[] = [];
    const attempt = (act: () => void) => {
      try {
        act();
      } catch (error) {
        errors.push(error);
      }
    };
    const emulator = await start((_call, socket) => {
      for (const code of [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 1000.5, Number.NaN]) {
        attempt(() => socket.close(code));
      }
      attempt(() => socket.close(1000, "错".repeat(42)));
      socket.close(1000, "错".repeat(41));
    });
    const end = await open(emulator);
    expect(await end.closed).toEqual({ code: 1000, reason: "错".repeat(41) });
    expect(errors).toHaveLength(11);
    for (const error of errors) expect(error).toMatchObject({ name: "RangeError", code: "ERR_EAS_ARG_OPTION" });
  });

  test("applies faults before the response", async () => {
    const emulator = await start(() => {});
    emulator.fault({ status: 503 });
    await expect(open(emulator)).rejects.toThrow("503");
    emulator.fault({ reset: "before-headers" });
    await expect(open(emulator)).rejects.toThrow();
    emulator.fault({ delay: 1 });
    (await open(emulator)).close(1000, "");
    expect(emulator.requests.map(({ status }) => status)).toEqual([503, 0, 101]);
  });

  test("applies faults after some messages: a reset, a stall, a text", async () => {
    const talk: Talk = (_call, socket) => {
      for (let i = 0; i < 5; i++) socket.send(`message ${i}`);
      socket.onMessage = () => socket.send("answer");
    };
    const emulator = await start(talk);
    emulator.fault({ reset: "in-body", chunks: 0 });
    const reset = await open(emulator).catch(() => undefined);
    if (reset !== undefined) expect(await reset.closed).toMatchObject({ code: 1006 });

    emulator.fault({ stall: "in-body" });
    const stalled = await open(emulator);
    await eventually(() => expect(stalled.messages).toEqual(["message 0", "message 1"]));
    stalled.send("?");
    stalled.close(1000, "tired");
    expect(await stalled.closed).toEqual({ code: 1000, reason: "tired" });
    expect(stalled.messages).toHaveLength(2);

    emulator.fault({ failure: '{"error": "out of memory"}', chunks: 3 });
    const failed = await open(emulator);
    expect((await failed.closed).code).toBe(1011);
    expect(failed.messages).toEqual(["message 0", "message 1", "message 2", '{"error": "out of memory"}']);

    const whole = await open(emulator);
    await eventually(() => expect(whole.messages).toHaveLength(5));
  });

  test("llm sends a message for each chunk, [DONE], and then handles the next request", async () => {
    const emulator = await start();
    const end = await open(emulator, { path: "llm/v1/chat/completions" });
    const ask = (content: unknown) =>
      JSON.stringify({ model: "eas-ngram", temperature: 0, messages: [{ role: "user", content }] });
    end.send(ask("白日依山尽"));
    // Sent before the first response is complete: the responses must not mix.
    end.send(ask("What is a queue?"));
    end.send(ask(7));
    end.send("{");
    end.send(new TextEncoder().encode(ask("床前明月光")));
    const isDone = (message: unknown) => message === "[DONE]";
    await eventually(() => expect(end.messages.filter(isDone)).toHaveLength(5));
    const answers = (end.messages as string[]).join("\n").split("[DONE]").slice(0, -1);
    const parsed = answers.map((response) =>
      response
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    );
    const textOf = (chunks: any[]) => chunks.map(({ choices }) => choices[0].delta.content ?? "").join("");
    expect(textOf(parsed[0]!)).toBe("，黄河入海流。欲穷千里目，更上一层楼。");
    expect(parsed[0]).toHaveLength(19 + 2);
    expect(parsed[0]?.at(-1).choices[0].finish_reason).toBe("stop");
    expect(textOf(parsed[1]!)).toMatch(/^A queue keeps requests/);
    expect(parsed[2]).toMatchObject([{ error: { code: 400, param: "messages[0].content" } }]);
    expect(parsed[3]).toMatchObject([{ error: { code: 400 } }]);
    expect(textOf(parsed[4]!)).toBe("，疑是地上霜。举头望明月，低头思故乡。");
    end.close(1000, "");
    await end.closed;
    const elsewhere = await open(emulator, { path: "llm/v1/embeddings" });
    expect(await elsewhere.closed).toEqual({ code: 1008, reason: "Not Found" });
  });

  test("llm stops when the caller disconnects", async () => {
    const emulator = await start();
    const end = await open(emulator, { path: "llm" });
    const messages = [{ role: "user", content: "道可道" }];
    end.send(JSON.stringify({ model: "eas-ngram", messages, ignore_eos: true, max_tokens: 8000 }));
    await eventually(() => expect(end.messages.length).toBeGreaterThan(3));
    end.cut();
    await end.closed;
    const count = end.messages.length;
    const next = await open(emulator, { path: "llm" });
    next.send("{");
    await eventually(() => expect(next.messages).toHaveLength(2));
    expect(end.messages).toHaveLength(count);
  });

  test("refuses a service without WebSockets, a missing token and an unknown service", async () => {
    const emulator = await start(undefined, { services: { plain: { handle: () => "", methods: ["GET"] } } });
    for (const [dial, status] of [
      [{ path: "plain" }, 400],
      [{ path: "scorecard" }, 405],
      [{ path: "nothing" }, 404],
      [{ path: "echo", token: "wrong" }, 401],
    ] as const) {
      await expect(open(emulator, dial)).rejects.toThrow(String(status));
    }
    expect(emulator.requests.map(({ status }) => status)).toEqual([400, 405, 404, 401]);
    // HTTP requests to the service still work.
    const response = await fetch(`${emulator.endpoint}/api/predict/echo`, { headers: { authorization: "t" } });
    expect(response.status).toBe(405);
  });
});

describe("subprotocols", () => {
  const say: Talk = ({ headers }, socket) => {
    socket.send(`${headers.get("sec-websocket-protocol")} → ${socket.protocol}`);
  };

  test.each([
    ["none if the caller offers none", undefined, [], "", "null → "],
    ["the first offered if the service accepts any", undefined, ["b", "a"], "b", "b,a → b"],
    ["the first offered that the service supports", ["a", "c"], ["b", "c", "a"], "c", "b,c,a → c"],
  ])("%s", async (_, spoken, offered, chosen, expected) => {
    const emulator = await start(say, spoken === undefined ? {} : { protocols: spoken });
    const { socket, messages } = webSocketOf(emulator, { protocols: offered });
    await eventually(() => expect(messages).toHaveLength(1));
    expect(socket.protocol).toBe(chosen);
    const end = await inMemory(emulator, { protocols: offered });
    await eventually(() => expect(end.messages).toHaveLength(1));
    const plain = (text: unknown) => String(text).replaceAll(", ", ",");
    expect([plain(messages[0]), plain(end.messages[0])]).toEqual([expected, expected]);
  });

  test("none if the service supports none of the offered subprotocols, which callers may refuse", async () => {
    const emulator = await start(say, { protocols: ["a"] });
    const { socket } = webSocketOf(emulator, { protocols: ["b"] });
    const [error] = await once(socket, "error");
    expect((error as Error).message).toBe("Server sent no subprotocol");
    const end = await inMemory(emulator, { protocols: ["b"] });
    await eventually(() => expect(end.messages).toEqual(["b → "]));
  });
});
