import { type CheckResult, ok, problem, skipped } from "./result.js";
import { chunksOf } from "./steps.js";
import type { Subject } from "./subject.js";

/** Minimum number of events, and minimum duration in milliseconds, with which buffering can be recognized. */
const MIN_EVENTS = 3;
const MIN_DURATION_MS = 300;
/** A stream is buffered if all its events arrive within this fraction of its duration. */
const MAX_BUFFERED_SPREAD = 0.1;
/** Maximum number of bytes that are read. */
const MAX_BYTES = 1_048_576;
const FIX =
  "Disable response buffering in the proxies between this machine and the service, for example with proxy_buffering off in nginx, and their compression.";

/** The request for a stream. */
export interface StreamSample {
  /** Path within the service. */
  readonly path: string;
  readonly body: string;
}

/** Requests a stream and checks that its events arrive one after another. */
export async function checkStream(subject: Subject, sample: StreamSample | undefined): Promise<CheckResult> {
  if (sample === undefined) return skipped("stream", "only with --stream, because the request runs the model");
  const { client, url, signal, timeout } = subject;
  const start = performance.now();
  try {
    const response = await client.fetch(
      url.href.replace(/\/$/, "") + sample.path,
      {
        method: "POST",
        body: sample.body,
        headers: { "content-type": "application/json", accept: "text/event-stream" },
        signal,
      },
      { retryCount: 0, timeout, totalTimeout: 60_000 },
    );
    const type = response.headers.get("content-type") ?? "no content type";
    if (response.status !== 200 || !type.includes("text/event-stream")) {
      await response.body?.cancel();
      const seen = `the service responds ${response.status} with ${type} instead of a stream`;
      return problem(
        "stream-missing",
        seen,
        "Check the path of --stream, the model, and whether the service supports streams.",
      );
    }
    return judge(await timingOf(response, start));
  } catch (error) {
    signal.throwIfAborted();
    return problem("stream-failed", `the stream failed: ${(error as Error).message}`, "Check the log of the service.");
  }
}

/** Times at which the events of a stream arrived, in milliseconds since the request. */
interface StreamTiming {
  readonly events: number;
  readonly first: number;
  readonly last: number;
}

async function timingOf(response: Response, start: number): Promise<StreamTiming> {
  const decoder = new TextDecoder();
  let [events, first, last, bytes] = [0, 0, 0, 0];
  let tail = "";
  for await (const chunk of chunksOf(response)) {
    const now = performance.now() - start;
    const text = tail + decoder.decode(chunk, { stream: true }).replaceAll("\r", "");
    const count = text.split("\n\n").length - 1;
    tail = text.slice(text.lastIndexOf("\n\n") + 2);
    if (count > 0) {
      if (events === 0) first = now;
      last = now;
      events += count;
    }
    bytes += chunk.length;
    if (bytes > MAX_BYTES) break;
  }
  return { events, first, last };
}

function judge({ events, first, last }: StreamTiming): CheckResult {
  const times = `${events} events, the first after ${Math.round(first)} ms and the last after ${Math.round(last)} ms`;
  if (events >= MIN_EVENTS && last - first >= last * MAX_BUFFERED_SPREAD) return ok("stream", times);
  if (events < MIN_EVENTS || last < MIN_DURATION_MS) {
    return ok("stream", `${times}: too few or too fast to recognize buffering`);
  }
  return problem("stream-buffered", `all events arrive at once: ${times}`, FIX);
}
