import { request as httpRequest, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { createParser } from "eventsource-parser";
import { onTestFinished } from "vitest";
import type { ConsoleEvents } from "../../src/emulator/console/protocol.js";
import { type RunningEmulator, type StartEmulatorOptions, startEmulator } from "../../src/emulator/index.js";

/** Headers that a test sends. Undefined leaves out a header that would be sent otherwise. */
type Headers = Readonly<Record<string, string | undefined>>;

/** The console of a running emulator, called as a page calls it. */
export interface TestConsole {
  readonly emulator: RunningEmulator;
  readonly token: string;
  /** Sends a request, by default with the console's token. Any `Host` header is possible. */
  send(
    path: string,
    options?: { method?: string; headers?: Headers; body?: string },
  ): Promise<{ status: number; headers: IncomingMessage["headers"]; text: string }>;
  /** Sends a command, and returns the status. */
  command(name: string, body: unknown): Promise<number>;
  /** Returns the result of a GET request. */
  get<T>(path: string): Promise<T>;
  /** Opens the stream of events. */
  events(): Promise<EventStream>;
}

/** A stream of events. */
export interface EventStream {
  /** Resolves with the next event of this name that matches. Earlier events are tried first. */
  next<Name extends keyof ConsoleEvents>(
    name: Name,
    matches?: (data: ConsoleEvents[Name]) => boolean,
  ): Promise<ConsoleEvents[Name]>;
  /** Resolves when the emulator has ended the stream. */
  readonly ended: Promise<void>;
}

/** Starts an emulator with a console. It ends with the test. */
export async function openConsole(options: StartEmulatorOptions = {}): Promise<TestConsole> {
  const emulator = await startEmulator({ console: true, ...options });
  onTestFinished(() => emulator.close());
  const token = new URL(emulator.consoleUrl ?? "").hash.slice(1);
  const open = (path: string, method: string, headers: Headers, body?: string) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const all = { "x-eas-console": token, ...headers };
      const sent = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Record<
        string,
        string
      >;
      httpRequest({ port: emulator.port, path, method, headers: sent }, resolve).on("error", reject).end(body);
    });
  const send: TestConsole["send"] = async (path, { method = "GET", headers = {}, body } = {}) => {
    const response = await open(path, method, headers, body);
    return { status: response.statusCode ?? 0, headers: response.headers, text: await text(response) };
  };
  return {
    emulator,
    token,
    send,
    async command(name, body) {
      const headers = { "content-type": "application/json" };
      return (await send(`/_console/${name}`, { method: "POST", headers, body: JSON.stringify(body) })).status;
    },
    async get(path) {
      const { status, text } = await send(path);
      if (status !== 200) throw new Error(`${status}: ${text}`);
      return JSON.parse(text);
    },
    async events() {
      const response = await open("/_console/events", "GET", {});
      onTestFinished(() => {
        response.destroy();
      });
      return readEvents(response);
    },
  };
}

function readEvents(response: IncomingMessage): EventStream {
  let received: { name: string; data: unknown }[] = [];
  let onEvent = () => {};
  const parser = createParser({
    onEvent({ event = "", data }) {
      received.push({ name: event, data: JSON.parse(data) });
      onEvent();
    },
  });
  response.setEncoding("utf8").on("data", (chunk: string) => parser.feed(chunk));
  const ended = new Promise<void>((resolve) => response.once("close", resolve));
  return {
    ended,
    async next(name, matches = () => true) {
      for (;;) {
        const found = received.find((event) => event.name === name && matches(event.data as never));
        if (found !== undefined) {
          received = received.slice(received.indexOf(found) + 1);
          return found.data as never;
        }
        await new Promise<void>((resolve) => {
          onEvent = resolve;
        });
      }
    },
  };
}
