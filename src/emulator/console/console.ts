import type { IncomingMessage, ServerResponse } from "node:http";
import { randomUuid } from "../../util/uuid.js";
import type { Emulator } from "../emulator.js";
import { contentSecurityPolicy, isConsoleRequest, refusalOf, SECURITY_HEADERS } from "./access.js";
import { FaultSwitches } from "./fault-presets.js";
import { Feed } from "./feed.js";
import { type Observation, RequestMonitor } from "./monitor.js";
import page from "./page/console.html";
import { Mask } from "./preview.js";
import { CONSOLE_PATH, type ConsoleCommands } from "./protocol.js";

/** Maximum size of a command in bytes. */
const MAX_COMMAND_BYTES = 64 * 1024;

/** The web page of an emulator, and the requests that the page sends. */
export class EmulatorConsole {
  /** The secret without which a caller sees nothing but the empty page. */
  readonly token: string = randomUuid();
  readonly #emulator: Emulator;
  readonly #switches: FaultSwitches;
  readonly #monitor: RequestMonitor;
  readonly #feed: Feed;

  constructor(emulator: Emulator) {
    this.#emulator = emulator;
    this.#switches = new FaultSwitches(emulator);
    this.#feed = new Feed(emulator, this.#switches, () => this.#monitor);
    const mask = new Mask(() => [this.token, ...emulator.internals.targets().map(({ token }) => token)]);
    this.#monitor = new RequestMonitor(emulator, mask, (id) => this.#feed.requestChanged(id));
  }

  /** Returns the address of the page. The token is in the fragment, which browsers do not send. */
  url(endpoint: string): string {
    return `${endpoint}/#${this.token}`;
  }

  /** Whether a request is for the console instead of the emulator. */
  serves(incoming: IncomingMessage): boolean {
    return isConsoleRequest(incoming);
  }

  /** Observes a request to the emulator, so that the page shows it. */
  observe(request: Request): Observation {
    return this.#monitor.observe(request);
  }

  /** Responds to a request for the console. Never rejects. */
  async respond(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    try {
      await this.#route(incoming, outgoing);
    } catch (error) {
      if (!outgoing.headersSent) send(outgoing, 500, String(error));
      else outgoing.destroy();
    }
  }

  /** Ends the streams of all open pages. */
  close(): void {
    this.#monitor.close();
    this.#feed.close();
  }

  async #route(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = "GET", url = "/" } = incoming;
    const path = url.split("?", 1)[0] as string;
    if (path === "/") return sendPage(outgoing);
    const refusal = refusalOf(incoming, this.token);
    if (refusal !== undefined) return send(outgoing, 403, refusal);
    const [name = "", id = ""] = path.slice(CONSOLE_PATH.length).split("/");
    if (method === "GET" && name === "events") return this.#openFeed(outgoing);
    if (method === "GET" && name === "requests") {
      const details = this.#monitor.details(Number(id));
      return details === undefined
        ? send(outgoing, 404, "The console no longer keeps this request.")
        : sendJson(outgoing, details);
    }
    if (method !== "POST") return send(outgoing, 405, "This method is not allowed here.");
    const command = await readCommand(incoming);
    if (command === undefined) return send(outgoing, 400, "The body must be a JSON object of at most 64 KiB.");
    return this.#run(name, command, outgoing);
  }

  #openFeed(outgoing: ServerResponse): void {
    outgoing.writeHead(200, { ...SECURITY_HEADERS, "content-type": "text/event-stream; charset=utf-8" });
    this.#feed.open(outgoing);
  }

  async #run(name: string, command: Record<string, unknown>, outgoing: ServerResponse): Promise<void> {
    if (name === "fault") {
      const { id, service, on } = command as Partial<ConsoleCommands["fault"]>;
      if (!this.#switches.set(String(id), typeof service === "string" ? service : null, on === true)) {
        return send(outgoing, 400, "The fault is unknown.");
      }
    } else if (name === "instance") {
      const { origin, running } = command as Partial<ConsoleCommands["instance"]>;
      const instance = this.#emulator.instances.find((instance) => instance.origin === origin);
      if (instance === undefined) return send(outgoing, 400, "The instance is unknown.");
      await (running === true ? instance.start() : instance.stop());
    } else if (name === "clear") {
      this.#monitor.clear();
    } else {
      return send(outgoing, 404, "The console has no such command.");
    }
    this.#feed.stateChanged();
    sendJson(outgoing, {});
  }
}

/** Reads a JSON object. Returns undefined if the body is something else, or too large. */
async function readCommand(incoming: IncomingMessage): Promise<Record<string, unknown> | undefined> {
  if (!/^application\/json\b/.test(incoming.headers["content-type"] ?? "")) return undefined;
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of incoming) {
    if (text.length < MAX_COMMAND_BYTES) text += decoder.decode(chunk as Uint8Array, { stream: true });
  }
  if (text.length > MAX_COMMAND_BYTES) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function sendPage(outgoing: ServerResponse): void {
  outgoing
    .writeHead(200, {
      ...SECURITY_HEADERS,
      "content-security-policy": contentSecurityPolicy(page),
      "content-type": "text/html; charset=utf-8",
    })
    .end(page.html);
}

function sendJson(outgoing: ServerResponse, value: unknown): void {
  outgoing
    .writeHead(200, { ...SECURITY_HEADERS, "content-type": "application/json; charset=utf-8" })
    .end(JSON.stringify(value));
}

function send(outgoing: ServerResponse, status: number, message: string): void {
  outgoing
    .writeHead(status, { ...SECURITY_HEADERS, "content-type": "text/plain; charset=utf-8", connection: "close" })
    .end(message);
}
