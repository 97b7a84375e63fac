import { platform } from "#platform";
import { checkCount, checkFunction, checkSignal, checkTimeout } from "../config/validate.js";
import { EasDecodeError, EasHttpError, EasNetworkError, EasTimeoutError, EasUnsupportedError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import { readAll } from "../platform/chunks.js";
import { argumentTypeError, show } from "../util/argument-errors.js";
import type { OptionNames } from "../util/option-names.js";
import { messageOf } from "../util/realms.js";
import { linkSignal, pause, unlinkSignal } from "../util/timing/abort.js";
import { randomUuid } from "../util/uuid.js";
import type { Credentials, CredentialsOptions, CredentialsProvider } from "./credentials.js";
import { credentialsOf } from "./credentials.js";
import { errorHint } from "./error-hint.js";
import { canonicalQuery, signedHeaders } from "./signature.js";

/** Options for reading from the EAS control plane. */
export interface ControlOptions extends CredentialsOptions {
  /** The region, for example `"cn-hangzhou"`. Default: the environment variable `ALIBABA_CLOUD_REGION_ID`. */
  readonly region?: string | undefined;
  /** The address of the control plane. Default: `https://pai-eas.<region>.aliyuncs.com`. */
  readonly controlEndpoint?: string | undefined;
  /** Timeout for one attempt in milliseconds. Default 10,000. */
  readonly timeout?: number | undefined;
  /** Maximum number of retries after a network failure, a throttled request or a server error. Default 2. */
  readonly retryCount?: number | undefined;
  /** Aborts the requests. The call then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Sends the requests. Default: the runtime's `fetch`. */
  readonly fetch?: typeof fetch | undefined;
}

/** Names of the options, for `checkOptionNames`. */
export const CONTROL_OPTIONS: OptionNames<ControlOptions> = {
  accessKeyId: 1,
  accessKeySecret: 1,
  securityToken: 1,
  credentials: 1,
  region: 1,
  controlEndpoint: 1,
  timeout: 1,
  retryCount: 1,
  signal: 1,
  fetch: 1,
};

/** Version of the EAS API. */
const API_VERSION = "2021-07-01";
const REGION_VARIABLE = "ALIBABA_CLOUD_REGION_ID";
const TIMEOUT_MS = 10_000;
const RETRY_COUNT = 2;
/** Milliseconds before the first retry. The pause doubles with each retry. */
const FIRST_PAUSE_MS = 500;
/** Maximum size of a response. A page of 100 services with large configurations is about 1 MB. */
const MAX_RESPONSE_BYTES = 16 * 1024 * 1024;

/** A request to the control plane. All requests are GET requests, so that nothing can be created or changed. */
export interface ControlRequest {
  /** The name of the API operation, for example `"DescribeService"`. */
  readonly action: string;
  /** The path, percent-encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
}

/** Reads from the control plane of one region. */
export class ControlPlane {
  /** The region, which is also the cluster id of its services. */
  readonly region: string;
  readonly #origin: string;
  readonly #credentials: CredentialsProvider;
  readonly #timeout: number;
  readonly #retryCount: number;
  readonly #signal: AbortSignal | undefined;
  readonly #fetch: typeof fetch;

  /** Throws a `TypeError` or `RangeError` for an invalid option, and `EasUnsupportedError` in a web page. */
  constructor(options: ControlOptions) {
    if (platform.name === "browser") {
      throw new EasUnsupportedError(
        "the control plane is not available in web pages, because an AccessKey in a page can be read by everyone: call findService on a server and use a relay in the page",
      );
    }
    this.region = regionOf(options.region ?? platform.env(REGION_VARIABLE));
    this.#origin = originOf(options.controlEndpoint ?? `https://pai-eas.${this.region}.aliyuncs.com`);
    this.#credentials = credentialsOf(options);
    this.#timeout = checkTimeout("timeout", options.timeout ?? TIMEOUT_MS);
    this.#retryCount = checkCount("retryCount", options.retryCount ?? RETRY_COUNT, 0);
    this.#signal = options.signal === undefined ? undefined : checkSignal(options.signal);
    this.#fetch = options.fetch === undefined ? globalThis.fetch : checkFunction("fetch", options.fetch);
  }

  /** Sends a request and returns the JSON object of the response. Retries transient failures. */
  async get(request: ControlRequest): Promise<Record<string, unknown>> {
    for (let attempts = 1; ; attempts++) {
      try {
        return await this.#attempt(request, attempts);
      } catch (error) {
        const isRetryable = (error as { retryable?: boolean } | null)?.retryable === true;
        if (!isRetryable || attempts > this.#retryCount || this.#signal?.aborted) throw error;
        await pause(FIRST_PAUSE_MS * 2 ** (attempts - 1), this.#signal ?? new AbortController().signal);
      }
    }
  }

  async #attempt(request: ControlRequest, attempts: number): Promise<Record<string, unknown>> {
    this.#signal?.throwIfAborted();
    const credentials = await this.#credentials();
    const url = new URL(this.#origin + request.path);
    const query = request.query ?? {};
    url.search = canonicalQuery(query);
    const { host: _, ...headers } = await signedHeaders(
      {
        method: "GET",
        host: url.host,
        path: request.path,
        query,
        action: request.action,
        version: API_VERSION,
        date: new Date(),
        nonce: randomUuid(),
      },
      credentials,
    );
    const { response, body } = await this.#send(url, { accept: "application/json", ...headers }, attempts);
    const text = redacted(new TextDecoder().decode(body), credentials);
    if (response.status !== 200) throw httpError(request, response, text, attempts);
    return parsed(request, text, attempts);
  }

  async #send(
    url: URL,
    headers: Record<string, string>,
    attempts: number,
  ): Promise<{ response: Response; body: Bytes }> {
    const life = new AbortController();
    const expired = new EasTimeoutError(`${url.host} did not respond within ${this.#timeout} ms`, {
      phase: "total",
      timeout: this.#timeout,
      attempts,
      retryable: true,
    });
    const timer = setTimeout(() => life.abort(expired), this.#timeout);
    linkSignal(this.#signal, life);
    try {
      // The signature and the token must not follow a redirect to another host.
      const init: RequestInit = { headers, redirect: "manual", signal: life.signal };
      const response = await this.#fetch.call(undefined, url, init);
      return { response, body: await readBody(response) };
    } catch (cause) {
      if (life.signal.aborted) throw life.signal.reason;
      if (cause instanceof EasDecodeError) throw cause;
      throw new EasNetworkError(`${url.host} cannot be reached: ${reasonOf(cause)}`, {
        cause,
        attempts,
        retryable: true,
      });
    } finally {
      clearTimeout(timer);
      unlinkSignal(this.#signal, life);
    }
  }
}

function regionOf(region: string | undefined): string {
  if (region === undefined || region === "") {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `region is missing: pass the region option, such as "cn-hangzhou", or set ${REGION_VARIABLE}`,
    );
  }
  // The region becomes part of a host name, so other characters could lead to another host.
  if (typeof region === "string" && /^[a-z]{2}-[a-z0-9]+(-[a-z0-9]+)*$/.test(region)) return region;
  throw argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    `region is ${show(region)}: it must be the id of a region, such as "cn-hangzhou" or "ap-southeast-1"`,
  );
}

function originOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.pathname === "/" && url.username === "") {
    const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
    if (url.protocol === "https:" || isLoopback) return url.origin;
  }
  throw argumentTypeError(
    "ERR_EAS_ARG_ENDPOINT",
    `controlEndpoint is ${show(text)}: it must be an address such as "https://pai-eas.cn-hangzhou.aliyuncs.com", without a path. Plain HTTP is allowed only for loopback addresses`,
  );
}

/** Reads the body of a response. Throws `EasDecodeError` if the body is larger than the limit. */
async function readBody({ body }: Response): Promise<Bytes> {
  if (body === null) return new Uint8Array();
  return readAll(body, MAX_RESPONSE_BYTES, (limit) => {
    return new EasDecodeError(`the response is larger than ${limit} bytes`, { format: "json" });
  });
}

/**
 * Redacts secrets in a response, because the error for a wrong signature contains the request with its security token.
 */
function redacted(text: string, { accessKeySecret, securityToken }: Credentials): string {
  const clean = text.replaceAll(accessKeySecret, "[redacted]");
  return securityToken === undefined ? clean : clean.replaceAll(securityToken, "[redacted]");
}

function parsed({ action }: ControlRequest, text: string, attempts: number): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // The error below describes the response.
  }
  throw new EasDecodeError(`the response to ${action} is not a JSON object: ${show(text.slice(0, 80))}`, {
    format: "json",
    attempts,
  });
}

function httpError({ action }: ControlRequest, response: Response, text: string, attempts: number): EasHttpError {
  const { status, headers } = response;
  let fields: { Code?: unknown; Message?: unknown; RequestId?: unknown } = {};
  try {
    fields = (JSON.parse(text) as typeof fields | null) ?? {};
  } catch {
    // Gateways respond with HTML or plain text.
  }
  const code = typeof fields.Code === "string" ? fields.Code : undefined;
  const explanation = typeof fields.Message === "string" ? fields.Message : text;
  const message = `${action} failed with ${status}${code === undefined ? "" : ` ${code}`}: ${explanation.slice(0, 500)}`;
  return new EasHttpError(message, {
    status,
    headers,
    body: new TextEncoder().encode(text.slice(0, 65_536)),
    hint: errorHint(status, code, headers.get("date")),
    attempts,
    requestId: typeof fields.RequestId === "string" ? fields.RequestId : undefined,
    retryable: status === 429 || status >= 500 || code?.startsWith("Throttling") === true,
  });
}

/** Returns the reason for a failed fetch, which is usually in the error's `cause`. */
function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: unknown };
  return cause === undefined ? messageOf(error) : messageOf(cause);
}
