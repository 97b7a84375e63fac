import type { NotReadyReason } from "../../config/options.js";
import type { Outcome } from "../../config/retry.js";

/**
 * An error response from a gateway or a common engine, recognized by its text. Patterns for the LLM gateway must match
 * the complete text. Otherwise, they would also match an engine's error that quotes a gateway message.
 */
export interface KnownResponse {
  /** HTTP status; 0 matches every status. */
  readonly status: number;
  /** Body text without surrounding white space. */
  readonly text: string | RegExp;
  /** Explanation and remedy for use in error messages. */
  readonly hint: string;
  /** Outcome of the attempt, if it differs from the usual outcome for the status. */
  readonly outcome?: Outcome;
  /** Set if the response means that the service is not ready. */
  readonly notReady?: NotReadyReason;
  /** Whether the gateway responds without contacting an engine, so the engine's state remains unknown. */
  readonly isGatewayOnly?: boolean;
}

const NOT_BEGUN: Outcome = "not begun";
const BROKEN: Outcome = "500 or 502";

const NO_INSTANCE = "no instance is ready: the service is stopped, starting, scaled to zero or crashed";
const NO_ENGINE =
  "the LLM gateway has no engine: the inference service behind it is stopped, starting or scaled to zero";
const JSON_ONLY =
  "the LLM gateway accepts only JSON requests: send an object or use json(), not text, a form, a tensor or a compressed body";

/** Matches the prefix that Go adds to errors from failed requests: `Post "http://10.0.0.1:8000/v1/completions": `. */
const FAILED_REQUEST = String.raw`^(?:network error for request to \S+: )?(?:Get|Head|Post|Put|Patch|Delete|Options) "(?:https?:/)?/[^"\s]*": `;

/** Returns a pattern that matches a JSON error of the LLM gateway. */
function gatewayJson(code: number, message: string): RegExp {
  return new RegExp(String.raw`^\{"error": ?\{"code": ?${code}, ?"message": ?"${message}"\}\}$`);
}

const KNOWN_RESPONSES: readonly KnownResponse[] = [
  // Responses from the EAS gateway.
  {
    status: 503,
    text: /no healthy upstream/,
    hint: NO_INSTANCE,
    outcome: NOT_BEGUN,
    notReady: "no healthy upstream",
  },
  {
    status: 503,
    text: "",
    hint: NO_INSTANCE,
    notReady: "empty 503",
  },
  {
    status: 404,
    text: "",
    hint: "the service is not ready yet, or no service has this name",
    notReady: "empty 404",
  },
  {
    status: 0,
    text: /^upstream connect error/,
    hint: "the gateway lost the instance: it is overloaded, restarting, or closes idle connections early",
  },
  // Responses from the LLM gateway: llumnix, `pkg/llm-gateway/service` (January 2026) and `pkg/gateway/service` (April
  // 2026).
  {
    status: 404,
    text: "no backend endpoint found",
    hint: NO_ENGINE,
    outcome: NOT_BEGUN,
    notReady: "no backend endpoint found",
  },
  {
    status: 503,
    text: gatewayJson(503, "no available inference worker"),
    hint: NO_ENGINE,
    outcome: NOT_BEGUN,
    notReady: "no available inference worker",
  },
  {
    status: 404,
    text: gatewayJson(404, "no inference instance found"),
    hint: NO_ENGINE,
    outcome: NOT_BEGUN,
    notReady: "no inference instance found",
  },
  {
    status: 503,
    text: "failed to get endpoint",
    hint: NO_ENGINE,
    outcome: NOT_BEGUN,
    notReady: "failed to get endpoint",
  },
  {
    status: 400,
    text: new RegExp(`${FAILED_REQUEST}dial tcp:? [^\n]+$`),
    hint: "the LLM gateway could not connect to its engine, which is stopped, starting or crashed",
    outcome: NOT_BEGUN,
    notReady: "engine unreachable",
  },
  {
    status: 400,
    text: new RegExp(`${FAILED_REQUEST}stopped after \\d+ redirects$`),
    hint: "the engine redirects the LLM gateway in a loop: check the path",
  },
  {
    status: 400,
    text: new RegExp(`${FAILED_REQUEST}[^\n]+$`),
    hint: "the LLM gateway lost the connection to its engine before the response arrived, after up to 4 attempts: the engine may have crashed on this request",
    outcome: BROKEN,
  },
  {
    status: 400,
    text: /^read tcp \S+->\S+: read: connection reset by peer$/,
    hint: "the LLM gateway lost the connection to its engine during the response: the engine may have crashed on this request",
    outcome: BROKEN,
  },
  {
    status: 400,
    text: /^(go-sse: unexpected end of input|failed to unmarshal response)$/,
    hint: "the LLM gateway could not read its engine's response: check the engine's log",
  },
  {
    status: 502,
    text: "failed to forward request",
    hint: "the LLM gateway got no response from its engine, which is stopped, starting or crashed",
    notReady: "failed to forward request",
  },
  {
    status: 429,
    text: "too many requests",
    hint: "all engines of the LLM gateway were busy for too long (10 s by default): add instances or send fewer concurrent requests",
  },
  {
    status: 429,
    text: "requests buffer queue overflow",
    hint: "the queue of the LLM gateway is full (512 requests by default): add instances or send fewer concurrent requests",
  },
  {
    status: 429,
    text: gatewayJson(429, "rate limit exceeded"),
    hint: "the rate limit of the LLM gateway is reached: send fewer concurrent requests",
  },
  { status: 400, text: /^cannot parse JSON: /, hint: JSON_ONLY, isGatewayOnly: true },
  {
    status: 400,
    text: "Invalid OpenAI request",
    hint: `${JSON_ONLY}; the fields must be those of OpenAI's API`,
    isGatewayOnly: true,
  },
  {
    status: 404,
    text: "invalid model name",
    hint: "the LLM gateway has no engine for this model: set model to a name that GET /v1/models lists",
  },
  {
    status: 404,
    text: "404 page not found",
    hint: "the service does not have this path; an LLM gateway has only /v1/chat/completions, /v1/completions and /v1/models",
    isGatewayOnly: true,
  },
  // Responses from common engines.
  {
    status: 404,
    text: '{"detail":"Not Found"}',
    hint: "the service is ready but does not have this path; OpenAI-compatible paths begin with /v1/",
  },
  {
    status: 404,
    text: /^\{[^`\n]{0,60}"message": ?"The model `[^`\n]{0,500}` does not exist\./,
    hint: "the engine does not serve this model: set model to a name that GET /v1/models lists",
  },
];

/**
 * Removes server-sent event framing from an error's text. The LLM gateway (since April 2026) and some engines send
 * errors as events if the request contains `stream: true`.
 */
export function unwrapEventData(text: string): string {
  if (!text.startsWith("data:")) return text;
  const [event = ""] = text.split(/\r?\n\r?\n/, 1);
  return event.replace(/^data: ?/gm, "").trim();
}

/** Returns the known response with this status and text, if there is one. `text` is trimmed. */
export function knownResponse(status: number, text: string): KnownResponse | undefined {
  const plain = unwrapEventData(text);
  return KNOWN_RESPONSES.find((known) => {
    if (known.status !== status && known.status !== 0) return false;
    return typeof known.text === "string" ? known.text === plain : known.text.test(plain);
  });
}
