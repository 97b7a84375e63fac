import { platform } from "#platform";
import {
  CLIENT_OPTIONS,
  checkOptions,
  OCTET_STREAM,
  type PredictClientOptions,
  type Settings,
} from "../config/settings.js";
import { checkOptionNames } from "../util/option-names.js";
import { buildTemplate, type CallTemplate } from "./build-plan.js";
import { type ConnectionPool, createPool } from "./connections/connection-pool.js";

/** A client's connections and current settings, and the template for its calls. */
export class ClientCore {
  readonly pool: ConnectionPool;
  #settings: Settings;
  #template: CallTemplate | undefined;

  constructor(pool: ConnectionPool, settings: Settings) {
    this.pool = pool;
    this.#settings = settings;
  }

  /**
   * Creates the core from the options for a `PredictClient`. Throws a `TypeError` or `RangeError` for an invalid
   * option.
   */
  static of(options: PredictClientOptions): ClientCore {
    checkOptionNames("PredictClient", options, CLIENT_OPTIONS);
    return new ClientCore(createPool(platform, options), checkOptions(options, platform.environment));
  }

  /** The current settings, which are never mutated. */
  get settings(): Settings {
    return this.#settings;
  }

  /** Replaces the settings for later calls. The new settings must already be checked. */
  set settings(settings: Settings) {
    this.#settings = settings;
    this.#template = undefined;
  }

  /** Returns the template for calls with the current settings. Throws a `TypeError` for contradictory settings. */
  template(): CallTemplate {
    this.#template ??= buildTemplate(this.#settings, platform, OCTET_STREAM);
    return this.#template;
  }

  /** Returns the pool. Throws `EasClosedError` if the client is closed. */
  openPool(): ConnectionPool {
    this.pool.checkOpen();
    return this.pool;
  }
}
