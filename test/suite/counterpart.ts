import type { Fault } from "eas-prediction/emulator/memory";
import type { RelayOptions } from "eas-prediction/relay";
import type { SuiteContext, SuiteReport } from "./harness.js";

/** A request that the emulator has seen. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly auth: string;
  readonly status: number;
  readonly length: number;
  readonly service: string | undefined;
}

/** A queue as it stands. */
export interface SeenQueue {
  readonly length: number;
  readonly isEnded: boolean;
  readonly items: readonly {
    readonly index: string;
    readonly tags: Readonly<Record<string, string>>;
    readonly text: string;
  }[];
  readonly pushes: readonly { readonly index: string; readonly delivery: number }[];
  readonly commits: readonly { readonly index: string; readonly auto: boolean }[];
  readonly negatives: readonly { readonly index: string; readonly code: string; readonly reason: string }[];
}

/** How a connection ends without a response: in good order, or by a reset. */
export type Death = "fin" | "rst";

/** A request that came over `dyingEndpoint` and was carried out. */
export interface ReceivedRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Whether its connection had carried another request. */
  readonly reused: boolean;
  readonly status: number;
  /** Whether the connection was ended in place of the response. */
  readonly died: boolean;
}

/** What a relay of a test's own is told. */
export interface RelaySettings extends Pick<RelayOptions, "allow" | "maxBytes"> {
  /** Names of services and queues behind it. */
  readonly services?: readonly string[];
  /** In their place: the one service behind it. */
  readonly only?: string;
  readonly origins: "*" | readonly string[];
}

/** The other side of a test, which the runner keeps outside of the runtime under test. */
export class Counterpart {
  readonly #control: string;

  constructor({ control }: Pick<SuiteContext, "control">) {
    this.#control = control;
  }

  /** Makes the next requests to a service go wrong. */
  fault(fault: Fault): Promise<void> {
    return this.#ask("fault", fault);
  }

  /** What has been asked of a service or a queue so far. */
  requests(service: string): Promise<SeenRequest[]> {
    return this.#ask("requests", { service });
  }

  /** Makes a service that no other test uses; its name is given. What kinds there are: `test/runtimes/services.mjs`. */
  service(kind: string): Promise<string> {
    return this.#ask("service", { kind });
  }

  /** Makes a queue that no other test uses; its name is given. `kind`: whose answers a service's queue has. */
  addQueue(settings: Readonly<Record<string, unknown>> = {}, kind?: string): Promise<string> {
    return this.#ask("addQueue", { settings, kind });
  }

  /** Makes a relay before the emulator that no other test uses; its URL is given. */
  relay(settings: RelaySettings): Promise<string> {
    return this.#ask("relay", settings);
  }

  /** The input queue, or the sink. */
  queue(name: string, side: "input" | "sink" = "input"): Promise<SeenQueue> {
    return this.#ask("queue", { name, side });
  }

  /** Breaks the connections of all watches of a queue; resolves with their number. */
  cut(queue: string): Promise<number> {
    return this.#ask("cut", { queue });
  }

  /** Resolves when so many requests to a service are under way, or have been. */
  arrived(service: string, count: number): Promise<void> {
    return this.#ask("arrived", { service, count });
  }

  /** How many connections have been made to `countedEndpoint`. */
  connections(): Promise<number> {
    return this.#ask("connections", {});
  }

  /**
   * Lets a connection to `dyingEndpoint` die: the next request to a service with this method, and with this text in its
   * target, is carried out, and its connection then ended without a byte of the response.
   */
  die(service: string, death: Death, method: string, text = ""): Promise<void> {
    return this.#ask("die", { service, death, method, text });
  }

  /** What has been received for a service over `dyingEndpoint`, CORS preflights left out. */
  received(service: string): Promise<ReceivedRequest[]> {
    return this.#ask("received", { service });
  }

  /** A test begins. */
  started(title: string): Promise<void> {
    return this.#ask("started", { title });
  }

  /** The suite has ended. */
  finished(report: SuiteReport): Promise<void> {
    return this.#ask("finished", report);
  }

  async #ask<T>(operation: string, body: unknown): Promise<T> {
    const response = await fetch(`${this.#control}/${operation}`, { method: "POST", body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`control ${operation}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }
}
