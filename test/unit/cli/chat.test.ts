import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { llmService, type RunningEmulator, startEmulator } from "../../../src/emulator/index.js";
import {
  buildCommandLine,
  type CommandLine,
  openTerminal,
  runCommand,
  runJson,
  startCommand,
} from "../../support/cli/command-line.js";

/** Sends a chunk of a chat. */
type Send = (delta: object) => void;

let commandLine: CommandLine;
let emulator: RunningEmulator;
/** Writes the response of the service `script`. The response ends when the promise resolves. */
let script: (send: Send, signal: AbortSignal) => Promise<void> | void;
beforeAll(async () => {
  commandLine = await buildCommandLine();
});
afterAll(() => commandLine.remove());
beforeEach(async () => {
  script = (send) => send({ content: "hello" });
  emulator = await startEmulator({
    services: {
      script: {
        methods: ["GET", "POST"],
        handle: ({ path, signal }) =>
          path === "/v1/models" ? '{"data":[{"id":"qwen"}]}' : chatResponse((send) => script(send, signal)),
      },
      thinker: llmService({ models: ["eas-ngram-reasoning"] }),
      empty: { methods: ["GET"], handle: () => '{"data":[]}' },
    },
  });
});
afterEach(() => emulator.close());

function chatResponse(run: (send: Send) => Promise<void> | void): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream({
    async start(controller) {
      const put = (text: string) => controller.enqueue(encoder.encode(`data: ${text}\n\n`));
      await run((delta) => put(JSON.stringify({ choices: [{ index: 0, delta }] })));
      put('{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}');
      put("[DONE]");
      controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

const target = (service: string) => ["-s", service, "-e", emulator.endpoint, "--token", emulator.token];
const chat = (args: readonly string[], input?: string) =>
  runCommand(commandLine, ["chat", ...args, ...target("script")], { ...(input !== undefined && { input }) });
/** The messages of each chat request. */
const conversations = () =>
  emulator.requests
    .filter(({ method }) => method === "POST")
    .map(({ body }) => JSON.parse(new TextDecoder().decode(body)).messages);
const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });

/** A response that sends text and then waits until the caller leaves. */
function stall(text: string): typeof script {
  return (send, signal) => {
    send({ content: text });
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("left"))));
  };
}

describe("eas-prediction chat in a pipe", () => {
  test("answers standard input or an argument once, without colors and reasoning", async () => {
    script = (send) => {
      send({ reasoning_content: "thinking" });
      send({ content: "学而" });
      send({ content: "时习之" });
    };
    expect(await chat([], "你好\n")).toEqual({ stdout: "学而时习之\n", stderr: "", exitCode: 0 });
    expect((await chat(["hi", "--system", "Be brief.", "--model", "other"])).stdout).toBe("学而时习之\n");
    expect(conversations()).toEqual([[user("你好")], [{ role: "system", content: "Be brief." }, user("hi")]]);
    expect(emulator.requests.map(({ url }) => url.replace(/^.*script/, ""))).toEqual([
      "/v1/models",
      "/v1/chat/completions",
      "/v1/chat/completions",
    ]);
  });

  test("prints the completion with --json", async () => {
    const completion = await runJson(commandLine, ["chat", "hi", ...target("thinker")]);
    expect(completion.model).toBe("eas-ngram-reasoning");
    expect(completion.choices[0].message).toMatchObject({ role: "assistant", content: expect.any(String) });
    expect(completion.choices[0].message.reasoning_content).not.toBe("");
  });

  test("ends with 0 if the reader closes the pipe", async () => {
    let hasLeft = false;
    script = async (send, signal) => {
      while (!signal.aborted) {
        send({ content: "x".repeat(10_000) });
        await new Promise((resolve) => setImmediate(resolve));
      }
      hasLeft = true;
    };
    const child = startCommand(commandLine, ["chat", "hi", ...target("script")]);
    child.stdout.once("data", () => child.stdout.destroy());
    await new Promise((resolve) => child.once("exit", resolve));
    expect(child.exitCode).toBe(0);
    await expect.poll(() => hasLeft).toBe(true);
  });

  test.each([
    [[], "", "the message is empty: pass text, @file, or text on standard input", 2],
    [["hi", "--max-tokens", "0"], "", "It must be an integer from 1", 2],
    [["hi", "--path", "/v1/chat/completions", "--endpoint", "x://y"], "", "error: ", 2],
  ])("refuses %j", async (args, input, message, exitCode) => {
    const result = await runCommand(commandLine, ["chat", ...target("script"), ...args], { input });
    expect(result.stderr).toContain(message);
    expect(result.exitCode).toBe(exitCode);
  });

  test("explains a service without models", async () => {
    const { stderr, exitCode } = await runCommand(commandLine, ["chat", "hi", ...target("empty")]);
    expect(stderr).toContain("name one with --model");
    expect(exitCode).toBe(1);
  });
});

describe("eas-prediction chat in a terminal", () => {
  const open = (options: { columns?: number; env?: Record<string, string>; args?: readonly string[] } = {}) =>
    openTerminal(commandLine, ["chat", ...target("script"), ...(options.args ?? [])], options);

  test("sends the whole conversation, and starts over with /reset", async () => {
    const session = open();
    await session.shows(/Model qwen\..*\n>$/s);
    session.type("one\r");
    await session.shows(/hello\n>$/);
    session.type("two\r");
    await session.shows(/two\nhello\n>$/);
    session.type("/reset\r");
    await session.shows(/empty\.\n>$/);
    session.type("/nothing\r");
    await session.shows(/\/nothing is not a command.*\n>$/);
    session.type("/etc/hosts\r");
    await session.shows(/hosts\nhello\n>$/);
    session.type("/exit\r");
    expect(await session.exitCode).toBe(0);
    expect(conversations()).toEqual([
      [user("one")],
      [user("one"), assistant("hello"), user("two")],
      [user("/etc/hosts")],
    ]);
  });

  test("edits Chinese text by characters, with the cursor at the right column", async () => {
    const session = open({ columns: 40 });
    await session.shows(/>$/);
    session.type("你好吗世界");
    await session.shows(/> 你好吗世界$/);
    // Moves before 世, deletes 吗 and inserts a wide and a narrow character.
    session.type("\x1b[D\x1b[D\x7f啊!");
    await session.shows(/> 你好啊!世界$/);
    session.type("\x01\x1b[3~您");
    await session.shows(/> 您好啊!世界$/);
    session.type("\r");
    await session.shows(/世界\nhello\n>$/);
    expect(conversations()).toEqual([[user("您好啊!世界")]]);
    session.type("\x04");
    expect(await session.exitCode).toBe(0);
  });

  test("wraps a long Chinese line in 40 columns and deletes over the line break", async () => {
    const session = open({ columns: 40 });
    await session.shows(/>$/);
    session.type("学".repeat(25));
    await session.shows(/> 学{19}\n学{6}$/);
    session.type("\x7f".repeat(8));
    await session.shows(/> 学{17}$/);
    session.type("\r");
    await session.shows(/hello\n>$/);
    expect(conversations()).toEqual([[user("学".repeat(17))]]);
    session.kill();
  });

  test("stops a response with Ctrl-C and keeps the received part", async () => {
    script = stall("partial");
    const session = open();
    await session.shows(/>$/);
    session.type("one\r");
    await session.shows(/partial$/);
    session.type("\x03");
    await session.shows(/partial\n\(stopped\)\n>$/);
    script = (send) => send({ content: "done" });
    session.type("two\r");
    await session.shows(/done\n>$/);
    expect(conversations().at(-1)).toEqual([user("one"), assistant("partial"), user("two")]);
    session.type("text\x03");
    await session.shows(/done\n>$/);
    session.type("\x03");
    await session.shows(/press Ctrl-C again to end the chat\)\n>$/);
    session.type("\x03");
    expect(await session.exitCode).toBe(130);
  });

  test("ends the chat when Ctrl-C is pressed twice in a response", async () => {
    script = stall("partial");
    const session = open();
    await session.shows(/>$/);
    session.type("one\r");
    await session.shows(/partial$/);
    session.type("\x03\x03");
    expect(await session.exitCode).toBe(130);
  });

  test("sends pasted lines and continued lines as one message", async () => {
    const session = open();
    await session.shows(/>$/);
    session.type("a\rb\rc");
    await session.shows(/\nc$/);
    session.type("\r");
    await session.shows(/hello\n>$/);
    session.type("d\\\r");
    session.type("e\r");
    await session.shows(/hello\n[\s\S]*hello\n>$/);
    expect(conversations().map((messages) => messages.at(-1))).toEqual([user("a\nb\nc"), user("d\ne")]);
    session.kill();
  });

  test("keeps text that is typed during a response for the next message", async () => {
    script = stall("slow");
    const session = open();
    await session.shows(/>$/);
    session.type("one\r");
    await session.shows(/slow$/);
    script = stall("fast");
    // The typed text is not shown. The chat handles keys in order, so it has read the text when Ctrl-C takes effect.
    session.type("two\r\x03");
    await session.shows(/slow\n\(stopped\)\n> two\nfast$/);
    session.type("thr");
    session.type("ee\x03");
    await session.shows(/fast\n\(stopped\)\n> three$/);
    script = (send) => send({ content: "last" });
    session.type("\r");
    await session.shows(/> three\nlast\n>$/);
    expect(conversations().map((messages) => messages.at(-1))).toEqual([user("one"), user("two"), user("three")]);
    session.kill();
  });

  test("shows lines that are pasted during a response with the next prompt", async () => {
    script = stall("slow");
    const session = open();
    await session.shows(/>$/);
    session.type("one\r");
    await session.shows(/slow$/);
    script = (send) => send({ content: "fast" });
    session.type("a\rb\x03");
    await session.shows(/slow\n\(stopped\)\n> a\n> b$/);
    session.type("\r");
    await session.shows(/> b\nfast\n>$/);
    expect(conversations().at(-1).at(-1)).toEqual(user("a\nb"));
    session.kill();
  });

  test("shows reasoning dim, or with a label without colors", async () => {
    script = (send) => {
      send({ reasoning_content: "because" });
      send({ content: "yes" });
    };
    const dim = open();
    await dim.shows(/>$/);
    dim.type("why\r");
    await dim.shows(/because\n\nyes\n>$/);
    expect(dim.raw()).toContain("\x1b[2mbecause\x1b[22m");
    dim.kill();
    const plain = open({ env: { NO_COLOR: "1" } });
    await plain.shows(/>$/);
    plain.type("why\r");
    await plain.shows(/Reasoning: because\n\nyes\n>$/);
    plain.kill();
  });

  test("removes control characters of a response", async () => {
    script = (send) => send({ content: "a\x1b[2J\x1b]0;t\x07b" });
    const session = open();
    await session.shows(/>$/);
    session.type("x\r");
    await session.shows(/a\[2J\]0;tb\n>$/);
    session.kill();
  });

  test("shows an error and continues", async () => {
    const session = open();
    await session.shows(/>$/);
    emulator.fault({ service: "script", status: 400, body: "too long" });
    session.type("one\r");
    await session.shows(/error: .*\n[\s\S]*>$/);
    session.type("two\r");
    await session.shows(/hello\n>$/);
    expect(conversations().at(-1)).toEqual([user("two")]);
    session.kill();
  });

  test("refuses --json without a message", async () => {
    const session = open({ args: ["--json"] });
    expect(await session.exitCode).toBe(2);
    expect(session.screen()).toContain("--json needs a message");
  });
});
