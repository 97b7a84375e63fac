import { optionError } from "../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { checkCompressors } from "../gateway/compression.js";
import type { EmulatorInstance } from "../instances.js";
import { tokenize } from "../models/ngram.js";
import { llmService } from "../services/llm-service.js";
import type { EmulatorCall, EmulatorHandler, EmulatorService } from "../services/service.js";
import { Engine } from "./engine.js";
import { firstGeneration } from "./first-generation.js";
import { Gateway, type GatewaySettings, type Generation } from "./gateway.js";
import { secondGeneration } from "./second-generation.js";

/** A published generation of the LLM gateway: January or April 2026. */
export type LlmGatewayGeneration = "2026-01" | "2026-04";

/** How an emulated LLM gateway behaves. Times are in milliseconds. */
export interface LlmGatewayOptions {
  /**
   * What its engines serve; a function takes all methods. Default: the demo service `llm`. The `token` of a service has no
   * effect.
   */
  readonly engine?: EmulatorService | EmulatorHandler | undefined;
  /** How many engines there are, from 0 to 1,000. Default 1. With 0 the gateway knows no engine. */
  readonly engines?: number | undefined;
  /** Port of the first engine, as it stands in error messages; the others have the ports after it. Default 8000. */
  readonly enginePort?: number | undefined;
  /** How many requests each engine takes at the same time; the gateway holds the rest. Default: all. */
  readonly concurrency?: number | undefined;
  /** How many requests are held. Others are answered with 429. Only `"2026-01"`; `"2026-04"` holds all. Default 512. */
  readonly queueLength?: number | undefined;
  /** How long a request is held until it is answered with 429. Only `"2026-01"`. Default 10,000. */
  readonly holdTimeout?: number | undefined;
  /** How long the gateway waits for the head of an engine's answer. Default 900,000. */
  readonly headerTimeout?: number | undefined;
  /**
   * How long an engine may send no event of a stream, comments not counted, and each side of a WebSocket no data message.
   * Default 300,000.
   */
  readonly readTimeout?: number | undefined;
  /** How long after a data message a ping or pong still passes a WebSocket. Only `"2026-01"`. Default 5,000. */
  readonly writeTimeout?: number | undefined;
  /** The largest event of a stream in bytes. Default 1,048,576. */
  readonly maxEventBytes?: number | undefined;
  /** Counts the tokens of a text, for `usage` and `max_tokens`. Only `"2026-04"`. Default: the tokens of the demo service. */
  readonly countTokens?: ((text: string) => number) | undefined;
  /** The clock of `writeTimeout` in milliseconds. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

const OPTIONS: OptionNames<LlmGatewayOptions> = {
  engine: 1,
  engines: 1,
  enginePort: 1,
  concurrency: 1,
  queueLength: 1,
  holdTimeout: 1,
  headerTimeout: 1,
  readTimeout: 1,
  writeTimeout: 1,
  maxEventBytes: 1,
  countTokens: 1,
  now: 1,
};

const GENERATIONS: Readonly<Record<LlmGatewayGeneration, (gateway: Gateway) => Generation>> = {
  "2026-01": firstGeneration,
  "2026-04": secondGeneration,
};

/** A service of the emulator that answers as an LLM gateway in front of engines. */
export interface EmulatorLlmGateway extends EmulatorService {
  /**
   * The engines. `fault` makes the next answers of one go wrong, and the client sees what the gateway makes of it; faults of the
   * emulator itself hit the gateway's own answers. `stop` makes it refuse connections, `isListed = false` hides it from the
   * gateway, and `weight` is its share of the requests.
   */
  readonly engines: readonly EmulatorInstance[];
  /** The latest 1,000 calls that the engines have received, oldest first, those sent again included. */
  readonly engineCalls: readonly EmulatorCall[];
}

/**
 * Returns a service that answers as EAS's LLM gateway does in front of one or more engines: routing, its own errors byte for
 * byte, re-framed events, broken and silent engines, requests that are held, and WebSockets. It runs wherever the emulator does.
 *
 * `"2026-01"` passes on all paths; an engine that breaks off becomes the line `Bad Request` and a normal end. `"2026-04"`
 * has chat, completions and models only, and rebuilds their answers; an engine that breaks off becomes a normal end.
 *
 * @example
 * const gateway = llmGateway("2026-01");
 * const emulator = await startEmulator({ services: { "llm-gateway": gateway } });
 * gateway.engines[0].fault({ reset: "in-body", chunks: 3 });
 */
export function llmGateway(generation: LlmGatewayGeneration, options: LlmGatewayOptions = {}): EmulatorLlmGateway {
  if (!Object.hasOwn(GENERATIONS, generation)) {
    throw optionError("the generation of llmGateway", generation, 'be "2026-01" or "2026-04"');
  }
  checkOptionNames("llmGateway", options, OPTIONS);
  const count = whole("engines", options.engines, 1, 0, 1000);
  const port = whole("enginePort", options.enginePort, 8000, 1, 65_535 - Math.max(0, count - 1));
  const engines = Array.from({ length: count }, (_, i) => new Engine(port + i, 100));
  return new LlmGateway(generation, new Gateway(settingsOf(options), engines));
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** The longest time that timers can wait. */
const LONGEST = 2 ** 31 - 1;

function settingsOf(options: LlmGatewayOptions): GatewaySettings {
  const { engine = llmService(), concurrency, now = Date.now, countTokens = (text) => tokenize(text).length } = options;
  const isHandler = typeof engine === "function";
  if (!isHandler && typeof engine?.handle !== "function") throw wrong("engine", engine, "a service or its handler");
  if (typeof now !== "function") throw wrong("now", now, "a function");
  if (typeof countTokens !== "function") throw wrong("countTokens", countTokens, "a function");
  return {
    engine: isHandler ? { handle: engine, methods: METHODS } : checkCompressors(engine),
    concurrency:
      concurrency === undefined ? Number.POSITIVE_INFINITY : whole("concurrency", concurrency, 1, 1, LONGEST),
    queueLength: whole("queueLength", options.queueLength, 512, 0, LONGEST),
    holdTimeout: whole("holdTimeout", options.holdTimeout, 10_000, 0, LONGEST),
    headerTimeout: whole("headerTimeout", options.headerTimeout, 15 * 60_000, 1, LONGEST),
    readTimeout: whole("readTimeout", options.readTimeout, 5 * 60_000, 1, LONGEST),
    writeTimeout: whole("writeTimeout", options.writeTimeout, 5000, 1, LONGEST),
    maxEventBytes: whole("maxEventBytes", options.maxEventBytes, 1024 * 1024, 1, LONGEST),
    now,
    countTokens,
  };
}

function whole(name: string, value: number | undefined, standard: number, least: number, most: number): number {
  const number = value ?? standard;
  if (Number.isInteger(number) && number >= least && number <= most) return number;
  throw wrong(name, value, `a whole number from ${least} to ${most}`);
}

function wrong(name: string, value: unknown, right: string): TypeError {
  return optionError(`${name} of llmGateway`, value, `be ${right}`);
}

class LlmGateway implements EmulatorLlmGateway {
  readonly handle: EmulatorHandler;
  readonly accept: NonNullable<EmulatorService["accept"]>;
  readonly protocols: readonly string[] | undefined;
  readonly methods: readonly string[] = METHODS;
  readonly #gateway: Gateway;

  constructor(generation: LlmGatewayGeneration, gateway: Gateway) {
    const { handle, accept } = GENERATIONS[generation](gateway);
    this.handle = handle;
    this.accept = accept;
    this.protocols = gateway.settings.engine.protocols;
    this.#gateway = gateway;
  }

  get engines(): readonly EmulatorInstance[] {
    return this.#gateway.engines;
  }

  get engineCalls(): readonly EmulatorCall[] {
    return this.#gateway.calls;
  }
}
