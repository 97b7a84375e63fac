import { optionError } from "../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { checkService } from "../gateway/compression.js";
import type { EmulatorInstance } from "../instances.js";
import { tokenize } from "../models/ngram.js";
import { llmService } from "../services/llm-service.js";
import type { EmulatorCall, EmulatorHandler, EmulatorService } from "../services/service.js";
import { Engine } from "./engine.js";
import { firstGeneration } from "./first-generation.js";
import { Gateway, type GatewaySettings, type Generation } from "./gateway.js";
import { secondGeneration } from "./second-generation.js";

/** A release of EAS's LLM gateway: January or April 2026. */
export type LlmGatewayGeneration = "2026-01" | "2026-04";

/** Options for `llmGateway`. Durations are in milliseconds. */
export interface LlmGatewayOptions {
  /**
   * The service that every engine runs. A function handles all methods. A service's `token` is ignored. Default: the
   * demo service `llm`.
   */
  readonly engine?: EmulatorService | EmulatorHandler | undefined;
  /** Number of engines, from 0 to 1,000. Default 1. With 0, the gateway responds that it has no engine. */
  readonly engines?: number | undefined;
  /**
   * Port that error messages show for the first engine. The other engines are shown with consecutive ports. Default
   * 8000.
   */
  readonly enginePort?: number | undefined;
  /**
   * Maximum number of concurrent requests to each engine. The gateway holds additional requests until an engine is
   * free. Default: no limit.
   */
  readonly concurrency?: number | undefined;
  /**
   * Maximum number of held requests; additional requests are refused with status 429. Applies only to `"2026-01"`,
   * because `"2026-04"` has no limit. Default 512.
   */
  readonly queueLength?: number | undefined;
  /**
   * Maximum duration for which a request is held before it is refused with status 429. Applies only to `"2026-01"`.
   * Default 10,000.
   */
  readonly holdTimeout?: number | undefined;
  /** Maximum time to wait for an engine's response headers. Default 900,000. */
  readonly headerTimeout?: number | undefined;
  /**
   * Maximum time between two events of a stream; comments do not count as events. For a WebSocket, the maximum time
   * between two data messages in the same direction. Default 300,000.
   */
  readonly readTimeout?: number | undefined;
  /**
   * Time after a data message during which the gateway still forwards a WebSocket's pings and pongs. Applies only to
   * `"2026-01"`. Default 5,000.
   */
  readonly writeTimeout?: number | undefined;
  /** Maximum size of an event in a stream, in bytes. Default 1,048,576. */
  readonly maxEventBytes?: number | undefined;
  /**
   * Counts the tokens of a text, for `usage` and `max_tokens`. Applies only to `"2026-04"`. Default: the demo service's
   * tokenizer.
   */
  readonly countTokens?: ((text: string) => number) | undefined;
  /** Clock used for `writeTimeout`: returns the current time in milliseconds. Default `Date.now`. */
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

/** An emulated LLM gateway, for use as a service of the emulator. */
export interface EmulatorLlmGateway extends EmulatorService {
  /**
   * The engines. `fault()` injects failures, to which the gateway reacts. `stop()` makes an engine refuse connections,
   * `isListed = false` hides it from the gateway, and `weight` is its share of the requests. Faults of the emulator itself
   * apply to the gateway's own responses.
   */
  readonly engines: readonly EmulatorInstance[];
  /** The latest 1,000 calls that the engines have received, including retries, oldest first. */
  readonly engineCalls: readonly EmulatorCall[];
}

/**
 * Creates a service that behaves like EAS's LLM gateway in front of one or more engines. It emulates routing,
 * byte-identical error responses, reformatted events, failing and silent engines, held requests, and WebSockets. It
 * runs on every runtime.
 *
 * `"2026-01"` forwards all paths. If an engine's response is cut off, the gateway appends the line `Bad Request` and
 * ends the response normally. `"2026-04"` supports only chat, completions and models, and rebuilds their responses. If
 * an engine's response is cut off, the gateway ends its response normally.
 *
 * @throws TypeError for an unknown generation, and for unknown or invalid options.
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
  const count = checkInteger("engines", options.engines, 1, 0, 1000);
  const port = checkInteger("enginePort", options.enginePort, 8000, 1, 65_535 - Math.max(0, count - 1));
  const engines = Array.from({ length: count }, (_, i) => new Engine(port + i, 100));
  return new LlmGateway(generation, new Gateway(settingsOf(options), engines));
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** Maximum delay of a timer in milliseconds. */
const MAX_DELAY_MS = 2 ** 31 - 1;

function settingsOf(options: LlmGatewayOptions): GatewaySettings {
  const { engine = llmService(), concurrency, now = Date.now, countTokens = (text) => tokenize(text).length } = options;
  const isHandler = typeof engine === "function";
  if (!isHandler && typeof engine?.handle !== "function") throw invalid("engine", engine, "a service or its handler");
  if (typeof now !== "function") throw invalid("now", now, "a function");
  if (typeof countTokens !== "function") throw invalid("countTokens", countTokens, "a function");
  return {
    engine: isHandler ? { handle: engine, methods: METHODS } : checkService(engine),
    concurrency:
      concurrency === undefined
        ? Number.POSITIVE_INFINITY
        : checkInteger("concurrency", concurrency, 1, 1, MAX_DELAY_MS),
    queueLength: checkInteger("queueLength", options.queueLength, 512, 0, MAX_DELAY_MS),
    holdTimeout: checkInteger("holdTimeout", options.holdTimeout, 10_000, 0, MAX_DELAY_MS),
    headerTimeout: checkInteger("headerTimeout", options.headerTimeout, 15 * 60_000, 1, MAX_DELAY_MS),
    readTimeout: checkInteger("readTimeout", options.readTimeout, 5 * 60_000, 1, MAX_DELAY_MS),
    writeTimeout: checkInteger("writeTimeout", options.writeTimeout, 5000, 1, MAX_DELAY_MS),
    maxEventBytes: checkInteger("maxEventBytes", options.maxEventBytes, 1024 * 1024, 1, MAX_DELAY_MS),
    now,
    countTokens,
  };
}

function checkInteger(name: string, value: number | undefined, fallback: number, min: number, max: number): number {
  const number = value ?? fallback;
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  throw invalid(name, value, `an integer from ${min} to ${max}`);
}

function invalid(name: string, value: unknown, expected: string): TypeError {
  return optionError(`${name} of llmGateway`, value, `be ${expected}`);
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
