import { expect } from "vitest";
import type {
  CallErrorEvent,
  CallEvent,
  CallHooks,
  CallInfo,
  CallRequestEvent,
  CallResponseEvent,
  CallRetryEvent,
} from "../../src/index.js";

type Told =
  | { readonly name: "start"; readonly event: CallInfo }
  | { readonly name: "request"; readonly event: CallRequestEvent }
  | { readonly name: "response"; readonly event: CallResponseEvent }
  | { readonly name: "retry"; readonly event: CallRetryEvent }
  | { readonly name: "error"; readonly event: CallErrorEvent };

/** Hooks that record all events. */
export class RecordedHooks implements CallHooks {
  readonly all: Told[] = [];

  start(event: CallInfo): void {
    this.all.push({ name: "start", event });
  }

  request(event: CallRequestEvent): void {
    this.all.push({ name: "request", event });
  }

  response(event: CallResponseEvent): void {
    this.all.push({ name: "response", event });
  }

  retry(event: CallRetryEvent): void {
    this.all.push({ name: "retry", event });
  }

  error(event: CallErrorEvent): void {
    this.all.push({ name: "error", event });
  }

  /** The names of the events, with the number of the attempt if there is one. */
  get names(): string[] {
    return this.all.map(({ name, event }) => ("attempt" in event ? `${name} ${event.attempt}` : name));
  }

  get calls(): CallInfo[] {
    return this.all.flatMap(({ name, event }) => (name === "start" ? [event] : []));
  }

  get requests(): CallRequestEvent[] {
    return this.all.flatMap(({ name, event }) => (name === "request" ? [event] : []));
  }

  get responses(): CallResponseEvent[] {
    return this.all.flatMap(({ name, event }) => (name === "response" ? [event] : []));
  }

  get retries(): CallRetryEvent[] {
    return this.all.flatMap(({ name, event }) => (name === "retry" ? [event] : []));
  }

  get errors(): CallErrorEvent[] {
    return this.all.flatMap(({ name, event }) => (name === "error" ? [event] : []));
  }

  get events(): CallEvent[] {
    return this.all.flatMap(({ event }) => ("call" in event ? [event] : []));
  }

  /** Checks that each call that started has ended exactly once, without later events. */
  expectWhole(): void {
    for (const call of this.calls) {
      const own = this.all.filter(({ event }) => event === call || ("call" in event && event.call === call));
      const names = own.map(({ name }) => name);
      expect(names.filter((name) => name === "start")).toHaveLength(1);
      expect(names[0]).toBe("start");
      expect(names.filter((name) => name === "response" || name === "error")).toHaveLength(1);
      expect(["response", "error"]).toContain(names.at(-1));
    }
    expect(this.events.every(({ call }) => this.calls.includes(call))).toBe(true);
  }

  /** All events as text, in which no token may occur. */
  get text(): string {
    const seen = new Set<unknown>();
    const walk = (value: unknown): unknown => {
      if (typeof value !== "object" || value === null) return typeof value === "function" ? undefined : value;
      if (seen.has(value)) return "again";
      seen.add(value);
      if (value instanceof Headers) return [...value];
      if (value instanceof Uint8Array) return new TextDecoder("latin1").decode(value);
      const own = Object.getOwnPropertyNames(value).map((name) => [name, walk((value as never)[name])]);
      return Object.fromEntries(own) as unknown;
    };
    return JSON.stringify(walk(this.all));
  }
}
