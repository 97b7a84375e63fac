import { platform } from "#platform";
import { checkHeaders } from "../config/headers.js";
import { checkCount, type HeadersInput, type Preset, type Token } from "../config/options.js";
import {
  CLIENT_OPTIONS,
  checkOptions,
  type EndpointType,
  OCTET_STREAM,
  type PredictClientOptions,
  type Setting,
  type Settings,
  withSetting,
} from "../config/settings.js";
import { checkServiceName } from "../endpoint/parse-endpoint.js";
import type { Compression, Decompression } from "../formats/request.js";
import { show, showUrl } from "../util/argument-errors.js";
import { checkOptionNames } from "../util/option-names.js";
import { type Prepared, prepare } from "./build-request.js";
import { type Channel, channelOf } from "./connections/connection-pool.js";

/**
 * What a `PredictClient` has been told, and the setters by which it is told more. Its fields are `#private` and are read by
 * methods, so that nobody prints a token with the client.
 */
export abstract class PredictSettings {
  #settings: Settings;
  #channel: Channel;
  #prepared: Prepared | undefined;

  constructor(options: PredictClientOptions) {
    checkOptionNames("PredictClient", options, CLIENT_OPTIONS);
    this.#settings = checkOptions(options);
    this.#channel = channelOf(platform, options);
  }

  /** Sets the gateway; see the option `endpoint`. */
  setEndpoint(endpoint: string): this {
    return this.set("endpoint", endpoint);
  }

  /** Sets the service. */
  setServiceName(serviceName: string): this {
    return this.set("serviceName", checkServiceName(serviceName));
  }

  /** Sets how the service is reached: `ENDPOINT_TYPE_GATEWAY` or `ENDPOINT_TYPE_DIRECT`. */
  setEndpointType(endpointType: EndpointType): this {
    return this.set("endpointType", endpointType);
  }

  /** Sets the service token, or a function that returns one before each attempt; `null` sends none. */
  setToken(token: Token | null): this {
    if (token !== null) return this.set("token", token);
    return this.change({ ...this.#settings, token: undefined });
  }

  /** Sets the retries after the first attempt; 0 makes one attempt. Default 5. */
  setRetryCount(retryCount: number): this {
    return this.set("retryCount", retryCount);
  }

  /**
   * Sets the requests in flight to one host and, on Node, the connections. Default 100; 6 in browsers and workerd. Streams that are
   * open on Node's old connections are cut off; all other calls end on them.
   */
  setMaxConnectionCount(maxConnectionCount: number): this {
    this.#channel.connectionCount = checkCount("maxConnectionCount", maxConnectionCount, 1);
    return this;
  }

  /** Sets the milliseconds for one attempt. Default 5,000. */
  setTimeout(timeout: number): this {
    return this.set("timeout", timeout);
  }

  /** Sets timeouts and retries for a kind of service; see the option `preset`. */
  setPreset(preset: Preset): this {
    return this.set("preset", preset);
  }

  /** Sets the `Content-Type` of all requests. */
  setContentType(contentType: string): this {
    return this.set("contentType", contentType);
  }

  /** Sets the path behind the service for all requests. */
  setRequestPath(path: string): this {
    return this.set("requestPath", path);
  }

  /** Adds headers to all requests; one of the same name is replaced. */
  addExtraHeaders(headers: HeadersInput): this {
    return this.set("headers", [...this.#settings.headers, ...checkHeaders(headers)]);
  }

  /** Sets the compression of all request bodies; `null` for none. */
  setCompression(compression: Compression | null): this {
    if (compression !== null) return this.set("compression", compression);
    return this.change({ ...this.#settings, compression: undefined });
  }

  /** Sets whether requests name their compression in `Content-Encoding`; see the option `announceCompression`. Default false. */
  setAnnounceCompression(announceCompression: boolean): this {
    return this.set("announceCompression", announceCompression);
  }

  /** Sets how the bodies of answers are decompressed; see the option `decompression`. Default `"auto"`. */
  setDecompression(decompression: Decompression): this {
    return this.set("decompression", decompression);
  }

  /** Returns the class, the service and the endpoint, for logs; neither the token nor a query. */
  toString(): string {
    const { serviceName, customUrl, endpoint } = this.#settings;
    return `PredictClient { service: ${show(serviceName)}, endpoint: ${showUrl(customUrl || endpoint)} }`;
  }

  protected currentSettings(): Settings {
    return this.#settings;
  }

  protected currentChannel(): Channel {
    return this.#channel;
  }

  /** What all calls have in common; throws for what cannot work together. */
  protected prepare(): Prepared {
    this.#prepared ??= prepare(this.#settings, platform, OCTET_STREAM);
    return this.#prepared;
  }

  /** The channel; throws when the client was closed. */
  protected openChannel(): Channel {
    this.#channel.checkOpen();
    return this.#channel;
  }

  /** Becomes another client over the same connections. */
  protected become(settings: Settings, channel: Channel): void {
    this.#channel = channel;
    this.change(settings);
  }

  private set(...change: Setting): this {
    return this.change(withSetting(this.#settings, change));
  }

  private change(settings: Settings): this {
    this.#settings = settings;
    this.#prepared = undefined;
    return this;
  }
}
