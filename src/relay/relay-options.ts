import { SHARED_GATEWAY_MAX_REQUEST_BYTES } from "../config/options.js";
import { checkFunction, checkLimit, checkTimeout } from "../config/validate.js";
import { optionError } from "../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../util/option-names.js";
import { AllowList, type RelayRule } from "./allow-list.js";
import { Origins } from "./origins.js";
import { HeaderLists } from "./relay-headers.js";
import { type RelayClient, Services } from "./services.js";

/** Options of `createRelay`. */
export interface RelayOptions {
  /**
   * The client of the one service that is behind the relay, with its token. A page's client then has the relay as its
   * `customUrl`. Either this or `services` must be given.
   */
  readonly client?: RelayClient | undefined;
  /**
   * Clients of several services and queues, by the name that pages call them by. A page's client then has the relay as its
   * `endpoint`, and the name as its `serviceName` or `queueName`. A queue's sink is a path of the queue.
   */
  readonly services?: Readonly<Record<string, RelayClient>> | undefined;
  /** The requests that are passed on. All others are refused. */
  readonly allow: readonly RelayRule[];
  /**
   * Origins of the pages that may call, as `["https://example.com"]`; `"*"` for the pages of everybody. Default: none but
   * pages of the relay's own origin, as far as the browser says so (`Sec-Fetch-Site`: Safari does from 16.4 on).
   */
  readonly origins?: "*" | readonly string[] | undefined;
  /** Path at which the relay is mounted, such as `"/eas"`. Default: the root. */
  readonly base?: string | undefined;
  /** Maximum number of bytes of a request's body. Default 1 MiB, as on the shared gateway. */
  readonly maxBytes?: number | undefined;
  /** Milliseconds until the service's answer must begin. Default 300,000. */
  readonly timeout?: number | undefined;
  /**
   * Milliseconds that the relay waits for a caller to send 1 KiB more of its body, or to take 1 KiB more of the answer; time
   * in which the service is slow does not count. Then the call is aborted, so that a stalled caller does not occupy one of the
   * client's connections. Default 30,000; `Infinity` for no limit.
   */
  readonly idleTimeout?: number | undefined;
  /** Names of request headers that pass, in addition to those that calls of this package need. */
  readonly requestHeaders?: readonly string[] | undefined;
  /** Names of answer headers that pass, in addition to those that calls of this package need. */
  readonly responseHeaders?: readonly string[] | undefined;
  /**
   * Decides on each request that could pass, before anything is sent: `true` lets it pass, `false` refuses it with 403, a
   * `Response` is the answer to it. It must leave the body alone: `request.clone()` is there to read it. A request whose body
   * has no stated length is a copy, of the runtime's own class.
   */
  readonly authorize?: ((request: Request) => boolean | Response | Promise<boolean | Response>) | undefined;
  /**
   * Receives the errors that callers are not told about: the service refuses the relay's token, cannot be reached, does not
   * answer or breaks off, or `authorize` threw. Exceptions of the function itself are ignored.
   */
  readonly onError?: ((error: unknown, request: Request) => unknown) | undefined;
}

/** The options of a relay, checked. */
export interface RelaySettings {
  readonly services: Services;
  readonly allow: AllowList;
  readonly origins: Origins;
  readonly headers: HeaderLists;
  readonly maxBytes: number;
  readonly timeout: number;
  readonly idleTimeout: number;
  readonly authorize: RelayOptions["authorize"];
  readonly onError: NonNullable<RelayOptions["onError"]>;
}

const RELAY_OPTIONS: OptionNames<RelayOptions> = {
  client: 1,
  services: 1,
  allow: 1,
  origins: 1,
  base: 1,
  maxBytes: 1,
  timeout: 1,
  idleTimeout: 1,
  requestHeaders: 1,
  responseHeaders: 1,
  authorize: 1,
  onError: 1,
};

const DEFAULT_TIMEOUT_MS = 300_000;
const DEFAULT_IDLE_TIMEOUT_MS = 30_000;

/** Checks all options of a relay. */
export function checkRelayOptions(options: RelayOptions): RelaySettings {
  if (typeof options !== "object" || options === null) {
    throw optionError("options", options, "be an object such as { client, allow: [{ paths: [...] }] }");
  }
  checkOptionNames("createRelay", options, RELAY_OPTIONS);
  const { base = "", maxBytes = SHARED_GATEWAY_MAX_REQUEST_BYTES, timeout = DEFAULT_TIMEOUT_MS } = options;
  const { authorize, onError = () => {}, idleTimeout = DEFAULT_IDLE_TIMEOUT_MS } = options;
  const services = new Services(base, options.client, options.services);
  const headers = new HeaderLists(options.requestHeaders ?? [], options.responseHeaders ?? []);
  return {
    services,
    allow: new AllowList(options.allow, services.paths),
    origins: new Origins(options.origins ?? [], headers),
    headers,
    maxBytes: checkLimit("maxBytes", maxBytes, 0),
    timeout: checkTimeout("timeout", timeout),
    idleTimeout: idleTimeout === Number.POSITIVE_INFINITY ? idleTimeout : checkTimeout("idleTimeout", idleTimeout),
    authorize: authorize && checkFunction("authorize", authorize),
    onError: checkFunction("onError", onError),
  };
}
