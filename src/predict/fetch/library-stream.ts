import { describeCall, type FailedCall } from "../../call/failures/failure.js";
import { redactText } from "../../call/failures/redact.js";
import { redactTruncated } from "../../call/failures/redact-cut.js";
import { EasStreamError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import { joinChunks, totalLength } from "../../platform/chunks.js";
import { GATEWAY_LINE } from "../stream/stream-end.js";
import type { BodyCheck, CheckBody } from "./client-fetch.js";

/** How the streams of an API end, by the path of the request. */
const APIS: readonly { readonly path: RegExp; readonly end: RegExp; readonly name: string }[] = [
  { path: /\/completions$/, end: /(^|[\r\n])data: ?\[DONE\]\s*?([\r\n]|$)/, name: "the line data: [DONE]" },
  { path: /\/messages$/, end: /"message_stop"/, name: "the event message_stop" },
];
/** Bytes that are kept of the end of a stream. More than its last event and the comments behind it. */
const TAIL_BYTES = 1024;
/** Bytes that are kept of an answer that is not a stream, for its error. */
const MAX_EXCERPT_BYTES = 65_536;
/** Characters of it that are part of the message. */
const EXCERPT = 200;

/**
 * Returns the check for the answer to a request: a stream must have the end that its API defines. Gateways end a stream in
 * good order after they lost the engine, and the libraries take every such end for the end of the answer.
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

/** Whether the JSON of a request asks for a stream. Quotes within its texts have backslashes. */
function asksForStream(body: unknown): boolean {
  return typeof body === "string" && /"stream"\s*:\s*true\b/.test(body);
}

type Api = (typeof APIS)[number];

/** Looks at the last bytes only, so that streams are as fast as without it. */
function endCheck({ end, name }: Api, call: FailedCall): BodyCheck {
  let tail: Uint8Array = new Uint8Array(0);
  return {
    add(piece) {
      tail =
        piece.length >= TAIL_BYTES
          ? piece.slice(-TAIL_BYTES)
          : joinChunks([tail, piece], tail.length + piece.length).subarray(-TAIL_BYTES);
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

/** An answer of another type is an error, unless it is an event stream after all. */
function typeCheck(api: Api, type: string, call: FailedCall): BodyCheck {
  const stream = endCheck(api, call);
  const pieces: Bytes[] = [];
  let length = 0;
  return {
    add(piece) {
      stream.add(piece);
      if (length < MAX_EXCERPT_BYTES) pieces.push(piece);
      length += piece.length;
    },
    end() {
      if (stream.end() === undefined) return undefined;
      const kept = totalLength(pieces);
      const received = new TextDecoder().decode(joinChunks(pieces, kept));
      const data = kept < length ? redactTruncated(received, call.token) : redactText(received, call.token);
      const excerpt = data.length > EXCERPT ? `${data.slice(0, EXCERPT)}…` : data.trim();
      return failure(
        `did not answer with a stream, which the request asks for (stream: true): its Content-Type is ${type}. It answered: ${excerpt}`,
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
