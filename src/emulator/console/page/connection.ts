import { createParser } from "eventsource-parser";
import {
  CONSOLE_PATH,
  type ConsoleCommands,
  type ConsoleEvents,
  type RequestDetails,
  TOKEN_HEADER,
} from "../protocol.js";

const STORAGE_KEY = "eas-console-token";
const RECONNECT_MS = 1000;

/** Receivers of the console's events. */
export type EventHandlers = { readonly [Name in keyof ConsoleEvents]: (data: ConsoleEvents[Name]) => void };

/** State of the stream of events: `locked` when the token is refused, `lost` when the emulator cannot be reached. */
export type ConnectionState = "connecting" | "open" | "locked" | "lost";

/** The console's part of the emulator, as the page uses it. */
export class ConsoleConnection {
  #token: string;
  readonly #handlers: EventHandlers;
  readonly #onState: (state: ConnectionState) => void;

  constructor(handlers: EventHandlers, onState: (state: ConnectionState) => void) {
    this.#handlers = handlers;
    this.#onState = onState;
    this.#token = takeToken() ?? "";
    addEventListener("hashchange", () => {
      const token = takeToken();
      if (token !== undefined && token !== this.#token) location.reload();
    });
  }

  /** Uses a token that the user has entered. */
  unlock(token: string): void {
    this.#token = token.replace(/^.*#/, "").trim();
    sessionStorage.setItem(STORAGE_KEY, this.#token);
    void this.listen();
  }

  /** Receives events until the token is refused. Reconnects when the emulator is gone. */
  async listen(): Promise<void> {
    for (;;) {
      this.#onState("connecting");
      try {
        const response = await fetch(`${CONSOLE_PATH}events`, { headers: this.#headers() });
        if (response.status === 403) return this.#onState("locked");
        if (response.body !== null && response.ok) await this.#read(response.body);
      } catch {
        // The connection is lost: the emulator has stopped, or the page was too slow.
      }
      this.#onState("lost");
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  }

  /** Sends a command. Rejects with the reason if the emulator refuses it. */
  async send<Name extends keyof ConsoleCommands>(name: Name, command: ConsoleCommands[Name]): Promise<void> {
    const response = await fetch(CONSOLE_PATH + name, {
      method: "POST",
      headers: { ...this.#headers(), "content-type": "application/json" },
      body: JSON.stringify(command),
    });
    if (!response.ok) throw new Error(await response.text());
  }

  /** Returns a request with its headers and bodies; undefined when the emulator no longer keeps it. */
  async details(id: number): Promise<RequestDetails | undefined> {
    const response = await fetch(`${CONSOLE_PATH}requests/${id}`, { headers: this.#headers() });
    return response.ok ? ((await response.json()) as RequestDetails) : undefined;
  }

  #headers(): Record<string, string> {
    return { [TOKEN_HEADER]: this.#token };
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    const parser = createParser({
      onEvent: ({ event, data }) => {
        this.#onState("open");
        const handle = this.#handlers[event as keyof ConsoleEvents] as ((data: unknown) => void) | undefined;
        handle?.(JSON.parse(data));
      },
    });
    const decoder = new TextDecoder();
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
    }
  }
}

/**
 * Returns the token from the address or from this tab's storage. It is removed from the address, so that the address can be
 * shown and shared.
 */
function takeToken(): string | undefined {
  const [, token] = /^#([\da-f]{8}-[\da-f-]{27})$/.exec(location.hash) ?? [];
  if (token === undefined) return sessionStorage.getItem(STORAGE_KEY) ?? undefined;
  sessionStorage.setItem(STORAGE_KEY, token);
  history.replaceState(null, "", location.pathname);
  return token;
}
