import type { CallPlan } from "../../../call/call-plan.js";
import type { ConnectionPool } from "../../../call/connections/connection-pool.js";
import type { Limiter } from "../../../call/connections/limiter.js";
import { describeCall } from "../../../call/failures/failure.js";
import { openStream } from "../../../call/stream-call.js";
import { EasNetworkError } from "../../../errors.js";
import type { Bytes } from "../../../formats/request.js";
import type { StreamedResponse } from "../../../platform/contract.js";
import { argumentRangeError } from "../../../util/argument-errors.js";
import { IdleTimer } from "../../../util/timing/idle-timer.js";
import type { FrameSource, IndexReader, OpenSource, SourceEvents } from "./frame-source.js";
import { FrameSplitter, frameTooLarge } from "./frame-splitter.js";

/** Timeout for the response headers, in milliseconds. */
const HEAD_MS = 10_000;
/**
 * Idle time after which the connection is reopened, in milliseconds, because an idle queue cannot be distinguished from
 * a dead connection.
 */
const SILENCE_MS = 60_000;

/** Number of open HTTP watches per limiter. Each origin has its own limiter. */
const watches = /* @__PURE__ */ new WeakMap<Limiter, number>();

/**
 * Returns a function that opens a watch over a streamed HTTP response with length-prefixed frames. The watch occupies
 * one of the client's connections until it ends.
 */
export function httpSource(pool: ConnectionPool, plan: CallPlan, readIndex: IndexReader): OpenSource {
  return async (events, signal) => {
    if (pool.connectionCount < 2) {
      throw argumentRangeError(
        "ERR_EAS_ARG_WATCH",
        `maxConnectionCount is ${pool.connectionCount}: a watch over HTTP occupies one connection, which leaves none for commits; set it to at least 2, or the watch's transport to "poll" or "websocket"`,
      );
    }
    const limiter = pool.limiter(plan.target.origin);
    const count = watches.get(limiter) ?? 0;
    if (count >= Math.max(1, Math.floor(pool.connectionCount / 2))) {
      throw argumentRangeError(
        "ERR_EAS_ARG_WATCH",
        `maxConnectionCount is ${pool.connectionCount}: watches over HTTP may occupy at most half of the connections, and ${count} are open; set it to at least ${2 * count + 2}, or the watch's transport to "poll" or "websocket"`,
      );
    }
    watches.set(limiter, count + 1);
    const onOver = () => void watches.set(limiter, (watches.get(limiter) as number) - 1);
    try {
      const once = { timeout: HEAD_MS, totalTimeout: Number.POSITIVE_INFINITY, retryCount: 0, retryOn: undefined };
      // The caller has already selected the instance.
      const options = { ...plan, ...once, route: undefined, signal };
      const { response } = await openStream(pool, options, null, {}, (answer) => answer);
      return new HttpSource(response, events, plan, readIndex, onOver);
    } catch (error) {
      onOver();
      throw error;
    }
  };
}

class HttpSource implements FrameSource {
  readonly #response: StreamedResponse;
  readonly #ended: Promise<void>;
  #resume: (() => void) | undefined;
  #paused: Promise<void> | undefined;
  #closing = false;

  constructor(
    response: StreamedResponse,
    events: SourceEvents,
    plan: CallPlan,
    readIndex: IndexReader,
    onOver: () => void,
  ) {
    this.#response = response;
    const name = describeCall(plan);
    const ended = (how: string) => new EasNetworkError(`${name} ${how}`, { attempts: 1, retryable: true });
    const silence = new IdleTimer(SILENCE_MS, () =>
      response.cancel(ended(`timed out: nothing received for ${SILENCE_MS} ms`)),
    );
    const onFrame = (frame: Bytes) => {
      if (!this.#closing) events.onFrame(frame);
    };
    const onTooLarge = (head: Bytes, size: number) => {
      const error = frameTooLarge(plan.maxResponseBytes, size);
      const index = readIndex(head);
      // Bytes without an index are not a frame (they may be a web page, for example), so the rest of the stream cannot
      // be decoded.
      if (index === undefined) throw error;
      if (!this.#closing) events.onUnreadable(error, index);
    };
    const splitter = new FrameSplitter(plan.maxResponseBytes, onFrame, onTooLarge);
    const read = async (): Promise<boolean> => {
      for (;;) {
        await this.#paused;
        // Run the timer only during reads, because a paused watcher does not mean that the connection is dead.
        silence.start();
        const chunk = await response.read();
        if (chunk === undefined) return splitter.isBetweenFrames;
        silence.stop();
        splitter.push(chunk);
      }
    };
    this.#ended = read()
      .finally(onOver)
      .then(
        (graceful) => {
          silence.stop();
          const cause = ended(graceful ? "was ended" : "closed in the middle of a frame");
          events.onEnd({ graceful, asked: this.#closing, cause });
        },
        (error: unknown) => {
          silence.stop();
          response.cancel(error);
          events.onEnd({ graceful: false, asked: this.#closing, cause: (error as Error) ?? ended("was closed") });
        },
      );
  }

  readonly pause = (): void => {
    this.#paused ??= new Promise((resolve) => {
      this.#resume = resolve;
    });
  };

  readonly resume = (): void => {
    this.#paused = undefined;
    this.#resume?.();
  };

  async close(): Promise<void> {
    this.#closing = true;
    this.resume();
    this.#response.cancel(undefined);
    await this.#ended;
  }
}
