import { SHARED_GATEWAY_MAX_REQUEST_BYTES } from "../config/options.js";
import { checkFunction, checkLimit, checkTimeout } from "../config/validate.js";
import { optionError } from "../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../util/option-names.js";
import { AllowList, type RelayRule } from "./allow-list.js";
import { Origins } from "./origins.js";
import { HeaderLists } from "./relay-headers.js";
import { type RelayClient, Services } from "./services.js";

/** Options for `createRelay`. */
export interface RelayOptions {
  /**
   * The client, including its token, for the single service behind the relay. Clients in web pages use the relay's URL
   * as their `customUrl`. Set exactly one of `client` and `services`.
   */
  readonly client?: RelayClient | undefined;
  /**
   * Clients for several services and queues, by the names that pages use. Clients in web pages use the relay's URL as
   * their `endpoint` and one of the names as their `serviceName` or `queueName`. A queue's sink is a path within that
   * queue.
   */
  readonly services?: Readonly<Record<string, RelayClient>> | undefined;
  /** The requests to forward. All other requests are refused with status 403. */
  readonly allow: readonly RelayRule[];
  /**
   * Origins whose pages may call the relay, such as `["https://example.com"]`, or `"*"` for all pages. Default: only
   * pages from the relay's own origin, if the browser reports it (`Sec-Fetch-Site`, which Safari supports since version
   * 16.4).
   */
  readonly origins?: "*" | readonly string[] | undefined;
  /** Path at which the relay is mounted, such as `"/eas"`. Default: the root. */
  readonly base?: string | undefined;
  /** Maximum size of a request body in bytes; `Infinity` for no limit. Default 1 MiB, as on the shared gateway. */
  readonly maxBytes?: number | undefined;
  /** Time within which the service must begin its response, in milliseconds. Default 300,000. */
  readonly timeout?: number | undefined;
  /**
   * Time within which the caller must send the next 1 KiB of its body or read the next 1 KiB of the response, in
   * milliseconds. The time that the service takes does not count. Slower calls are aborted so that a stalled caller
   * does not occupy one of the client's connections. Default 30,000; `Infinity` for no limit.
   */
  readonly idleTimeout?: number | undefined;
  /** Names of request headers to forward, in addition to those that calls from this package need. */
  readonly requestHeaders?: readonly string[] | undefined;
  /** Names of response headers to forward, in addition to those that calls from this package need. */
  readonly responseHeaders?: readonly string[] | undefined;
  /**
   * Decides whether to forward a request that the rules allow. Called before anything is sent. Return `true` to forward
   * the request, `false` to refuse it with status 403, or a `Response` to send to the caller instead. To read the body,
   * read `request.clone()`. If there is no `Content-Length`, the function receives a copy of the request, which is an
   * instance of the runtime's own `Request`.
   */
  readonly authorize?: ((request: Request) => boolean | Response | Promise<boolean | Response>) | undefined;
  /**
   * Receives errors whose details are not sent to the caller. Such errors occur if `authorize` throws, or if the
   * service refuses the relay's token, cannot be reached, does not respond or does not complete its response.
   * Exceptions thrown by `onError` are ignored.
   */
  readonly onError?: ((error: unknown, request: Request) => unknown) | undefined;
}

/** The checked options of a relay. */
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

/** Checks all options of a relay and adds the defaults. */
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
