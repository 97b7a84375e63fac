import type { Fault } from "eas-prediction/emulator/memory";
import type { RelayOptions } from "eas-prediction/relay";
import type { SuiteContext, SuiteReport } from "./harness.js";

/** A request that the emulator received. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly auth: string;
  readonly status: number;
  readonly length: number;
  readonly service: string | undefined;
}

/** The state of a queue. */
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

/** How a connection ends without a response: normally (FIN), or with a reset (RST). */
export type Death = "fin" | "rst";

/** A request that arrived over `dyingEndpoint` and was processed. */
export interface ReceivedRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Whether its connection had carried another request before. */
  readonly reused: boolean;
  readonly status: number;
  /** Whether the connection ended instead of a response. */
  readonly died: boolean;
}

/** Options for a test's own relay. */
export interface RelaySettings extends Pick<RelayOptions, "allow" | "maxBytes"> {
  /** Names of the services and queues behind the relay. */
  readonly services?: readonly string[];
  /** Name of the single service behind the relay, instead of `services`. */
  readonly only?: string;
  readonly origins: "*" | readonly string[];
}

/** The server side of a test. The runner keeps it outside of the runtime under test. */
export class Counterpart {
  readonly #control: string;

  constructor({ control }: Pick<SuiteContext, "control">) {
    this.#control = control;
  }

  /** Injects faults into the next requests to a service. */
  fault(fault: Fault): Promise<void> {
    return this.#ask("fault", fault);
  }

  /** Returns the requests to a service or a queue so far. */
  requests(service: string): Promise<SeenRequest[]> {
    return this.#ask("requests", { service });
  }

  /** Creates a service that no other test uses and returns its name. For the kinds see `test/runtimes/services.mjs`. */
  service(kind: string): Promise<string> {
    return this.#ask("service", { kind });
  }

  /**
   * Creates a queue that no other test uses and returns its name. `kind` is the kind of service that writes to its
   * sink.
   */
  addQueue(settings: Readonly<Record<string, unknown>> = {}, kind?: string): Promise<string> {
    return this.#ask("addQueue", { settings, kind });
  }

  /** Creates a relay before the emulator that no other test uses, and returns its URL. */
  relay(settings: RelaySettings): Promise<string> {
    return this.#ask("relay", settings);
  }

  /** Returns the state of the input queue or the sink. */
  queue(name: string, side: "input" | "sink" = "input"): Promise<SeenQueue> {
    return this.#ask("queue", { name, side });
  }

  /** Breaks the connections of all watches of a queue. Resolves with their number. */
  cut(queue: string): Promise<number> {
    return this.#ask("cut", { queue });
  }

  /** Resolves when `count` requests to a service are under way, or have been. */
  arrived(service: string, count: number): Promise<void> {
    return this.#ask("arrived", { service, count });
  }

  /** Returns the number of connections to `countedEndpoint` so far. */
  connections(): Promise<number> {
    return this.#ask("connections", {});
  }

  /**
   * Breaks a connection to `dyingEndpoint`. The next request to a service with this method, and with this text in
   * its target, is processed. Then its connection is ended without a byte of the response.
   */
  die(service: string, death: Death, method: string, text = ""): Promise<void> {
    return this.#ask("die", { service, death, method, text });
  }

  /** Returns the requests for a service over `dyingEndpoint`, without CORS preflights. */
  received(service: string): Promise<ReceivedRequest[]> {
    return this.#ask("received", { service });
  }

  /** Called when a test begins. */
  started(title: string): Promise<void> {
    return this.#ask("started", { title });
  }

  /** Called when the suite has ended. */
  finished(report: SuiteReport): Promise<void> {
    return this.#ask("finished", report);
  }

  async #ask<T>(operation: string, body: unknown): Promise<T> {
    const response = await fetch(`${this.#control}/${operation}`, { method: "POST", body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`control ${operation}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }
}
