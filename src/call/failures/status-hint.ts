import { knownResponse } from "./known-responses.js";

/** What the statuses mean on EAS: help.alibabacloud.com "Status codes of EAS", and pai-python-sdk `pai/predictor.py`. */
const HINTS: Readonly<Record<number, string>> = {
  400: "the service could not read the request, or its processor threw: check input names, dtypes and shapes",
  401: "the token is missing, wrong or belongs to another service",
  403: "the gateway refuses this caller: check its access lists",
  404: "the service does not exist or does not have this path: check both",
  405: "the service does not accept this method",
  408: "the service took longer than its metadata.rpc.keepalive allows (5 s by default): raise it, or use asynchronous inference",
  413: "the body is too large for the gateway or the service",
  415: "the service does not read this Content-Type or Content-Encoding: servers such as vLLM and FastAPI take JSON only, which is sent for an object, as by client.json({ … })",
  422: "the fields of the body do not match the service's schema (FastAPI): the response body lists them",
  429: "the rate limit is reached (shared gateway: 1,000 requests a second for each service)",
  450: "the instance's request queue is full (metadata.rpc.max_queue_size): add instances or send fewer requests at once",
  500: "the service failed on this request",
  502: "the gateway received no valid response from the instance",
  503: "the service is not available at the moment: it is overloaded, starting, stopped or crashed",
  504: "the instance did not respond in time: raise the service's timeout, or use asynchronous inference",
};

/** Header that the relay (`eas-prediction/relay`) sets on its own answers, which the statuses of EAS do not explain. */
export const RELAY_HEADER = "x-eas-relay";

/** What a status means on EAS and what to do about it. */
export function statusHint(
  status: number,
  text: string,
  auth: "token" | "bearer" | "signature",
  headers?: Headers,
  hasToken = true,
  isUpgrade = false,
): string {
  if (headers?.has(RELAY_HEADER)) {
    return `the relay itself ${status < 500 ? "refused the request" : "failed; its option onError receives the cause"}`;
  }
  if (status === 401) {
    return hasToken
      ? `${HINTS[401]}; it was sent as ${AUTH_WORDS[auth]}`
      : "the service requires a token, and the client has none: set the option token";
  }
  if (status === 304) return "the request has a condition, such as the header If-None-Match: remove it";
  if (status >= 300 && status < 400) {
    return "redirects are not followed, to keep the token from other hosts: set the endpoint to the redirect's target";
  }
  return (
    (isUpgrade && upgradeHint(status, text)) ||
    (knownResponse(status, text)?.hint ??
      HINTS[status] ??
      (status >= 500 ? "the service failed" : "the service refused the request"))
  );
}

/** Returns what a status means in response to a WebSocket upgrade, if that differs from its meaning for other requests. */
function upgradeHint(status: number, text: string): string | undefined {
  if (status < 300) return "the service sent an HTTP response instead of opening a WebSocket: check the path";
  if ([400, 405, 426, 501].includes(status) && knownResponse(status, text) === undefined) {
    return "the service does not accept this WebSocket: check the path, the headers and the subprotocols";
  }
  // Some runtimes report only the status, so an empty body means nothing here.
  if (status === 404 && text === "") {
    return "the service does not exist, does not have this path, or does not accept WebSockets: check both";
  }
  return undefined;
}

const AUTH_WORDS = {
  token:
    'the raw token; if the service expects "Bearer <token>", set auth: "bearer"; if it expects a signature, auth: "signature"',
  bearer: '"Bearer <token>"; most EAS services expect the raw token: set auth: "token"',
  signature: 'a signature; if the service or a proxy in front of it expects the raw token, set auth: "token"',
} as const;
