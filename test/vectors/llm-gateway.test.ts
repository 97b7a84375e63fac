import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { afterAll, describe, expect, test } from "vitest";
import {
  type LlmGatewayGeneration,
  llmGateway,
  type RunningEmulator,
  startEmulator,
} from "../../src/emulator/index.js";
import { BROKEN_BEFORE_HEAD, engine } from "./llm-gateway-engine.js";

// Compares the emulated LLM gateway with responses of the published program, which were recorded byte for byte.

interface Capture {
  readonly gateway: LlmGatewayGeneration;
  readonly case: string;
  readonly stream: boolean;
  readonly end: string;
  /** Bytes as Latin-1. A long response consists of its start, an ellipsis and its end. */
  readonly raw: string;
}

const CAPTURES = readFileSync(new URL("./llm-gateway.jsonl", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => JSON.parse(line) as Capture);

/** Responses that are not compared completely, with the reason. */
const SKIPPED: Readonly<Record<string, string>> = {
  "2026-01 bigjson": "its chunk boundaries depend on the timing of socket reads",
};

const running: RunningEmulator[] = [];
afterAll(() => Promise.all(running.map((emulator) => emulator.close())));

async function start(generation: LlmGatewayGeneration) {
  const countTokens = (text: string) => [...text].length;
  const gateway = llmGateway(generation, { engine, enginePort: 9101, countTokens });
  const emulator = await startEmulator({ services: { gateway: { ...gateway, token: "" } } });
  running.push(emulator);
  return { gateway, emulator };
}

const started = new Map<LlmGatewayGeneration, ReturnType<typeof start>>();
function gatewayOf(generation: LlmGatewayGeneration) {
  if (!started.has(generation)) started.set(generation, start(generation));
  return started.get(generation) as ReturnType<typeof start>;
}

/** Reads responses from a connection one after another, as Latin-1. */
function responsesOf(socket: Socket): () => Promise<string> {
  const chunks = socket[Symbol.asyncIterator]();
  return async () => {
    let text = "";
    while (!isComplete(text)) {
      const { done, value } = await chunks.next();
      if (done) throw new Error(`the connection ended after ${JSON.stringify(text.slice(-200))}`);
      text += (value as Buffer).toString("latin1");
    }
    return text;
  };
}

function isComplete(text: string): boolean {
  const end = text.indexOf("\r\n\r\n") + 4;
  if (end < 4) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1];
  if (text.startsWith("HTTP/1.1 204")) return text.length === end;
  return length === undefined ? text.endsWith("\r\n0\r\n\r\n") : text.length === end + Number(length);
}

async function ask({ emulator }: Awaited<ReturnType<typeof start>>, name: string, isStream: boolean) {
  const socket = connect(emulator.port, "127.0.0.1");
  await once(socket, "connect");
  const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "abc" }], stream: isStream });
  const request = (method: string, path: string, more: string) =>
    `${method} /api/predict/gateway${path} HTTP/1.1\r\nHost: 127.0.0.1:${emulator.port}\r\n${more}\r\n`;
  const headers = `x-case: ${name}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
  socket.write(request("POST", "/v1/chat/completions", headers) + body);
  const next = responsesOf(socket);
  const raw = await next();
  // A second response shows that the connection is kept alive.
  socket.write(request("GET", "/healthz", ""));
  const health = await next();
  socket.destroy();
  return { raw, isKeptAlive: health.startsWith("HTTP/1.1 200 OK\r\n") };
}

interface Parsed {
  readonly line: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

function parse(raw: string): Parsed {
  const end = raw.indexOf("\r\n\r\n");
  const [line = "", ...fields] = raw.slice(0, end).split("\r\n");
  const headers = new Map<string, string>();
  for (const field of fields) {
    const colon = field.indexOf(":");
    const name = field.slice(0, colon).toLowerCase();
    const before = headers.get(name);
    headers.set(name, (before === undefined ? "" : `${before}, `) + field.slice(colon + 2));
  }
  return { line, headers, body: raw.slice(end + 4) };
}

/** Returns a response with the header names and the header order of the recording program. */
function inFormOf(capture: Parsed, { line, headers, body }: Parsed): string {
  const names = [...capture.headers.keys(), ...[...headers.keys()].filter((name) => !capture.headers.has(name))];
  const fields = names.map((name) => `${name}: ${headers.get(name)}`);
  return [line, ...fields, "", body].join("\r\n");
}

/** Headers that Node's HTTP server adds. */
const OF_NODE = ["connection", "keep-alive"];
const ENGINE_DATE = "Wed, 07 Jan 2026 12:00:00 GMT";

/** Replaces the parts that differ between runs: the gateway's date and the local port of a connection. */
function normal(text: string): string {
  return text
    .replace(/^date: (.*)$/m, (field, date: string) => (date.trim() === ENGINE_DATE ? field : "date: now\r"))
    .replace(/127\.0\.0\.1:\d{5}->/, "127.0.0.1:40000->");
}

const nameOf = ({ gateway, case: name, stream }: Capture) => `${gateway} ${name}${stream ? ", streamed" : ""}`;

/** Returns a response in the form of the record, with the program's header names, header order and date. */
function inFormOfLong(raw: string, { line, headers, body }: Parsed): string {
  const rank = (name: string) => (name === "transfer-encoding" ? "~" : name);
  const names = [...headers.keys()].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
  const date = /^Date: (.*)\r$/m.exec(raw)?.[1];
  const fields = names.map((name) => {
    const value = headers.get(name);
    const isOwn = name === "date" && value !== ENGINE_DATE;
    return `${name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase())}: ${isOwn ? date : value}`;
  });
  const text = [line, ...fields, "", body].join("\r\n");
  const [start = "", end = ""] = raw.split("…");
  return `${text.slice(0, start.length)}…${text.slice(-end.length)}`;
}

test("the record is complete, and one response is skipped", () => {
  expect(CAPTURES).toHaveLength(134);
  expect(CAPTURES.every(({ end }) => end === "complete, kept alive")).toBe(true);
  expect(new Set(CAPTURES.map(nameOf)).size).toBe(134);
  expect(CAPTURES.map(nameOf).filter((name) => name in SKIPPED)).toEqual(Object.keys(SKIPPED));
  expect(Object.keys(SKIPPED)).toHaveLength(1);
});

describe("responds like the published program", () => {
  test.for(
    CAPTURES.filter((capture) => !(nameOf(capture) in SKIPPED)).map((capture) => [nameOf(capture), capture] as const),
  )("%s", async ([, capture]) => {
    const running = await gatewayOf(capture.gateway);
    if (BROKEN_BEFORE_HEAD.includes(capture.case)) {
      running.gateway.engines[0]?.fault({ reset: "before-headers", times: capture.gateway === "2026-01" ? 4 : 3 });
    }
    const { raw, isKeptAlive } = await ask(running, capture.case, capture.stream);
    const own = parse(raw);
    const headers = new Map([...own.headers].filter(([name]) => !OF_NODE.includes(name)));
    const answer = { ...own, headers };
    const wanted = parse(capture.raw);
    if (capture.raw.includes("…")) expect(inFormOfLong(capture.raw, answer)).toBe(capture.raw);
    else expect(normal(inFormOf(wanted, answer))).toBe(normal(inFormOf(wanted, wanted)));
    expect(isKeptAlive).toBe(true);
  });
});
