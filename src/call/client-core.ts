import { platform } from "#platform";
import { checkHeaders } from "../config/headers.js";
import type { HeadersInput } from "../config/options.js";
import {
  CLIENT_OPTIONS,
  checkOptions,
  OCTET_STREAM,
  type PredictClientOptions,
  type Setting,
  type Settings,
  withSetting,
} from "../config/settings.js";
import { checkCount } from "../config/validate.js";
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

  /** Checks a setting and changes it for later calls. */
  set(...setting: Setting): void {
    this.change(withSetting(this.#settings, setting));
  }

  /** Changes settings for later calls. The new values must already be checked. */
  change(settings: Partial<Settings>): void {
    this.#settings = { ...this.#settings, ...settings };
    this.dropTemplate();
  }

  /** Removes a setting for later calls. */
  clear(name: "token" | "compression"): void {
    this.change({ [name]: undefined });
  }

  /** Adds headers to all later requests. They replace headers of the same name. */
  addHeaders(headers: HeadersInput): void {
    this.set("headers", [...this.#settings.headers, ...checkHeaders(headers)]);
  }

  /** Sets the maximum number of requests in flight to one host. */
  setMaxConnectionCount(value: number): void {
    this.pool.connectionCount = checkCount("maxConnectionCount", value, 1);
  }

  /** Returns the template for calls with the current settings. Throws a `TypeError` for contradictory settings. */
  template(): CallTemplate {
    this.#template ??= this.buildTemplate();
    return this.#template;
  }

  protected buildTemplate(): CallTemplate {
    return buildTemplate(this.#settings, this.pool.platform, OCTET_STREAM);
  }

  /** Makes the next call build a new template. */
  protected dropTemplate(): void {
    this.#template = undefined;
  }

  /** Returns the pool. Throws `EasClosedError` if the client is closed. */
  openPool(): ConnectionPool {
    this.pool.checkOpen();
    return this.pool;
  }

  /**
   * Checks the settings and loads the code that the first call needs. The returned promise may be ignored: its
   * rejection is never unhandled.
   */
  init(): Promise<void> {
    const ready = (async () => {
      const { plan } = this.template();
      await this.openPool().ready(plan);
    })();
    ready.catch(() => {});
    return ready;
  }
}
