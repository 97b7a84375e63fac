import { describeCall, type FailedCall } from "../../call/failures/failure.js";
import { redactText } from "../../call/failures/redact.js";
import { redactTruncated } from "../../call/failures/redact-truncated.js";
import { EasStreamError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import { joinChunks, totalLength } from "../../platform/chunks.js";
import { GATEWAY_LINE } from "../stream/stream-end.js";
import type { BodyCheck, CheckBody } from "./client-fetch.js";

/** The end marker of streams in each API. The key is the path of the request. */
const APIS: readonly { readonly path: RegExp; readonly end: RegExp; readonly name: string }[] = [
  { path: /\/completions$/, end: /(^|[\r\n])data: ?\[DONE\]\s*?([\r\n]|$)/, name: "the line data: [DONE]" },
  { path: /\/messages$/, end: /"message_stop"/, name: "the event message_stop" },
];
/** Number of bytes kept from the end of a stream. Large enough for the last event and any comments after it. */
const TAIL_BYTES = 1024;
/** Number of bytes of an unexpected response to keep for the error. */
const MAX_EXCERPT_BYTES = 65_536;
/** Maximum number of characters of an unexpected response to quote in the error message. */
const EXCERPT = 200;

/**
 * Returns the check for the response to a request: a stream must end as its API specifies. The check is needed because
 * gateways end a stream normally when they lose the engine, and libraries would accept that stream as complete.
 */
export function checkOfStreams(path: string, body: unknown): CheckBody | undefined {
  const [bare = ""] = path.split("?", 1);
  const api = APIS.find((each) => each.path.test(bare));
  return (
    api &&
    ((headers, call) => {
      const type = headers.get("content-type") ?? "none";
      if (/^text\/event-stream\b/i.test(type)) return endCheck(api, call);
      return asksForStream(body) ? typeCheck(api, type, call) : undefined;
    })
  );
}

/**
 * Returns whether a request's JSON contains `"stream": true`. The pattern cannot match inside a string because quotes
 * are escaped there.
 */
function asksForStream(body: unknown): boolean {
  return typeof body === "string" && /"stream"\s*:\s*true\b/.test(body);
}

type Api = (typeof APIS)[number];

/** Checks the end of an event stream. Inspects only the last bytes, so that streams are not slowed down. */
function endCheck({ end, name }: Api, call: FailedCall): BodyCheck {
  let tail: Uint8Array = new Uint8Array(0);
  return {
    add(chunk) {
      tail =
        chunk.length >= TAIL_BYTES
          ? chunk.slice(-TAIL_BYTES)
          : joinChunks([tail, chunk], tail.length + chunk.length).subarray(-TAIL_BYTES);
    },
    end() {
      const text = new TextDecoder().decode(tail);
      if (end.test(text)) return undefined;
      const isGateways = text.trimEnd().endsWith(GATEWAY_LINE);
      const cause = isGateways ? `. The LLM gateway wrote "${GATEWAY_LINE}": it lost the engine` : "";
      return failure(`was cut off: the stream ended without ${name}${cause}`, isGateways ? GATEWAY_LINE : "", call);
    },
  };
}

/** Checks a response with a different content type. Reports an error unless the body is an event stream. */
function typeCheck(api: Api, type: string, call: FailedCall): BodyCheck {
  const stream = endCheck(api, call);
  const chunks: Bytes[] = [];
  let length = 0;
  return {
    add(chunk) {
      stream.add(chunk);
      if (length < MAX_EXCERPT_BYTES) chunks.push(chunk);
      length += chunk.length;
    },
    end() {
      if (stream.end() === undefined) return undefined;
      const kept = totalLength(chunks);
      const received = new TextDecoder().decode(joinChunks(chunks, kept));
      const data = kept < length ? redactTruncated(received, call.token) : redactText(received, call.token);
      const excerpt = data.length > EXCERPT ? `${data.slice(0, EXCERPT)}…` : data.trim();
      return failure(
        `did not respond with a stream, which the request asked for (stream: true): its Content-Type is ${type}. Response: ${excerpt}`,
        data,
        call,
        false,
      );
    },
  };
}

function failure(what: string, data: string, call: FailedCall, retryable = true): EasStreamError {
  return new EasStreamError(redactText(`${describeCall(call.plan)} ${what}`, call.token), {
    attempts: call.attempts,
    retryable,
    data,
  });
}
