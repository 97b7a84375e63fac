import { platform } from "#platform";
import {
  CLIENT_OPTIONS,
  checkOptions,
  OCTET_STREAM,
  type PredictClientOptions,
  type Setting,
  type Settings,
  withSetting,
} from "../config/settings.js";
import { checkOptionNames } from "../util/option-names.js";
import { type Prepared, prepare } from "./build-request.js";
import { type Channel, channelOf } from "./connections/connection-pool.js";

/** The connections of a client, its current settings, and what all calls under these settings have in common. */
export class ClientCore {
  readonly channel: Channel;
  #settings: Settings;
  #prepared: Prepared | undefined;

  constructor(channel: Channel, settings: Settings) {
    this.channel = channel;
    this.#settings = settings;
  }

  /** Checks the options of a `PredictClient`. Throws a `TypeError` or `RangeError` for an invalid option. */
  static of(options: PredictClientOptions): ClientCore {
    checkOptionNames("PredictClient", options, CLIENT_OPTIONS);
    return new ClientCore(channelOf(platform, options), checkOptions(options));
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** Checks a setting and applies it to later calls. */
  set(...setting: Setting): void {
    this.change(withSetting(this.#settings, setting));
  }

  /** Applies changes that are already checked to later calls. */
  change(changes: Partial<Settings>): void {
    this.#settings = { ...this.#settings, ...changes };
    this.#prepared = undefined;
  }

  /** Returns what all calls under the current settings have in common. Throws if the settings contradict each other. */
  prepare(): Prepared {
    this.#prepared ??= prepare(this.#settings, platform, OCTET_STREAM);
    return this.#prepared;
  }

  /** Returns the channel. Throws `EasClosedError` if the client is closed. */
  openChannel(): Channel {
    this.channel.checkOpen();
    return this.channel;
  }
}
