import { knownResponse } from "./known-responses.js";

/**
 * Explanations of what HTTP statuses mean on EAS. Sources: help.alibabacloud.com "Status codes of EAS", pai-python-sdk
 * `pai/predictor.py`.
 */
const HINTS: Readonly<Record<number, string>> = {
  400: "the service could not read the request, or its processor threw: check input names, dtypes and shapes",
  401: "the token is missing, wrong or belongs to another service",
  403: "the gateway refuses this caller: check its access lists",
  404: "the service does not exist or does not have this path: check both",
  405: "the service does not accept this method",
  408: "the service took longer than its metadata.rpc.keepalive allows (5 s by default): raise it, or use asynchronous inference",
  413: "the body is too large for the gateway or the service",
  415: "the service does not support this Content-Type or Content-Encoding: servers such as vLLM and FastAPI accept only JSON; send an object, for example with client.json({ … })",
  422: "the fields of the body do not match the service's schema (FastAPI): the response body lists them",
  429: "the rate limit is reached (shared gateway: 1,000 requests a second for each service)",
  450: "the instance's request queue is full (metadata.rpc.max_queue_size): add instances or send fewer concurrent requests",
  500: "the service failed on this request",
  502: "the gateway received no valid response from the instance",
  503: "the service is not available at the moment: it is overloaded, starting, stopped or crashed",
  504: "the instance did not respond in time: raise the service's timeout, or use asynchronous inference",
};

/**
 * Header that marks responses created by the relay (`eas-prediction/relay`) itself. The explanations for EAS statuses
 * do not apply to such responses.
 */
export const RELAY_HEADER = "x-eas-relay";

/** Returns the explanation and remedy for an EAS error status. `text` is the trimmed response body. */
export function statusHint(
  status: number,
  text: string,
  auth: "token" | "bearer" | "signature",
  headers?: Headers,
  hasToken = true,
  isUpgrade = false,
): string {
  if (headers?.has(RELAY_HEADER)) {
    return `the relay itself ${status < 500 ? "refused the request" : "failed; its onError option receives the cause"}`;
  }
  if (status === 401) {
    return hasToken
      ? `${HINTS[401]}; it was sent as ${AUTH_HINTS[auth]}`
      : "the service requires a token, but the client does not have one: set the token option or the variable EAS_TOKEN";
  }
  if (status === 304) return "the request is conditional: remove headers such as If-None-Match";
  if (status >= 300 && status < 400) {
    return "redirects are not followed, because the token must not reach other hosts: set the endpoint to the redirect target";
  }
  return (
    (isUpgrade && upgradeHint(status, text)) ||
    (knownResponse(status, text)?.hint ??
      HINTS[status] ??
      (status >= 500 ? "the service failed" : "the service refused the request"))
  );
}

/** Returns the explanation for a status that has a different meaning in response to a WebSocket upgrade. */
function upgradeHint(status: number, text: string): string | undefined {
  if (status < 300) return "the service sent an HTTP response instead of opening a WebSocket: check the path";
  if ([400, 405, 426, 501].includes(status) && knownResponse(status, text) === undefined) {
    return "the service does not accept this WebSocket: check the path, the headers and the subprotocols";
  }
  // An empty body proves nothing here, because some runtimes report only the status.
  if (status === 404 && text === "") {
    return "the service does not exist, does not have this path, or does not accept WebSockets: check both";
  }
  return undefined;
}

const AUTH_HINTS = {
  token:
    'the raw token; if the service expects "Bearer <token>", set auth: "bearer"; if it expects a signature, auth: "signature"',
  bearer: '"Bearer <token>"; most EAS services expect the raw token: set auth: "token"',
  signature: 'a signature; if the service or a proxy in front of it expects the raw token, set auth: "token"',
} as const;
