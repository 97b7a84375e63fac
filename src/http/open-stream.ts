import { EasUnsupportedError } from "../errors.js";
import { joinChunks } from "../platform/fetch-transport.js";
import {
  type HeaderPair,
  isSuccess,
  MOST_ERROR_BYTES,
  type StreamedResponse,
  TransportError,
} from "../platform/platform.js";
import type { Bytes } from "../request.js";
import { Attempt } from "./attempt.js";
import { authorize, currentToken } from "./auth.js";
import type { CallPlan } from "./call-plan.js";
import { follow, unfollow } from "./caller-signal.js";
import type { Channel } from "./channel.js";
import { type FailedCall, httpFailure, networkFailure, timeoutFailure } from "./failure.js";
import type { Limiter } from "./limiter.js";

/** The headers of one attempt that is not signed, and the token in them. Rejects with the signal's reason when it fires. */
export async function headersOf(
  plan: CallPlan,
  signal: AbortSignal | undefined,
): Promise<{ readonly headers: readonly HeaderPair[]; readonly token: string }> {
  signal?.throwIfAborted();
  const given = currentToken(plan.token);
  const token = typeof given === "string" || signal === undefined ? await given : await unlessAborted(given, signal);
  signal?.throwIfAborted();
  if (token === "") return { headers: plan.headers, token };
  return { headers: [...plan.headers, ...(await authorize(plan, token, undefined))], token };
}

/**
 * Makes one attempt to get an answer whose body is read piece by piece. `plan.timeout` is the time for its head. Rejects
 * as a call does, for a status that is no success too. The plan's signal has no say over the body. It is one of the
 * requests that are held long, until the body's end, its failure or its cancellation.
 */
export async function openStream(channel: Channel, plan: CallPlan): Promise<StreamedResponse> {
  const limiter = channel.limiter(plan.target.origin);
  await takeSlot(limiter, plan.signal);
  try {
    return new SlottedResponse(await attemptStream(channel, plan), limiter);
  } catch (error) {
    limiter.release(true);
    throw error;
  }
}

/** Waits for a slot of those that are held long; rejects with the signal's reason when it fires before. */
async function takeSlot(limiter: Limiter, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  if (limiter.tryAcquire(true)) return;
  const wait = limiter.acquire(true);
  const abortable = { abort: wait.cancel };
  if (signal !== undefined) follow(signal, abortable);
  try {
    await wait.done;
  } finally {
    if (signal !== undefined) unfollow(signal, abortable);
  }
}

/** An answer that gives its slot back, once, when there is no more to come. */
class SlottedResponse implements StreamedResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly contentEncoding: string | undefined;
  readonly #response: StreamedResponse;
  #limiter: Limiter | undefined;

  constructor(response: StreamedResponse, limiter: Limiter) {
    this.status = response.status;
    this.headers = response.headers;
    this.contentEncoding = response.contentEncoding;
    this.#response = response;
    this.#limiter = limiter;
  }

  async read(): Promise<Bytes | undefined> {
    let piece: Bytes | undefined;
    try {
      piece = await this.#response.read();
    } finally {
      if (piece === undefined) this.#release();
    }
    return piece;
  }

  cancel(reason: unknown): void {
    this.#response.cancel(reason);
    this.#release();
  }

  #release(): void {
    this.#limiter?.release(true);
    this.#limiter = undefined;
  }
}

async function attemptStream(channel: Channel, plan: CallPlan): Promise<StreamedResponse> {
  const { signal } = plan;
  const { headers, token } = await headersOf(plan, signal);
  // It may have fired in the turn in which that ended.
  signal?.throwIfAborted();
  const call: FailedCall = { plan, token: token.trim(), attempts: 1 };
  const attempt = new Attempt(plan, headers, null, channel.timeouts, plan.timeout);
  const abortable = { abort: (reason: unknown) => attempt.cancel(reason) };
  if (signal !== undefined) follow(signal, abortable);
  const { transport } = channel;
  let response: StreamedResponse;
  let refusal: Bytes | undefined;
  try {
    if (transport.stream === undefined) {
      throw new EasUnsupportedError("this transport has no stream(): answers come as a whole only");
    }
    attempt.start();
    response = await attempt.until(transport.stream(attempt));
    if (!isSuccess(response.status)) refusal = await attempt.outlive(readSome(response));
  } catch (error) {
    if (attempt.expired) throw timeoutFailure(call, attempt.phase).error;
    if (signal?.aborted) throw signal.reason;
    if (error instanceof EasUnsupportedError) throw error;
    throw networkFailure(
      call,
      channel.transport === transport ? error : replaced(error),
      attempt.phase,
      channel.reached.has(plan.target.origin),
    ).error;
  } finally {
    attempt.settle();
    if (signal !== undefined) unfollow(signal, abortable);
  }
  channel.reached.add(plan.target.origin);
  if (refusal === undefined) return response;
  const { status, headers: answered } = response;
  throw httpFailure(call, { status, headers: answered, body: refusal, contentEncoding: undefined }, refusal).error;
}

/** A failure of a transport that another limit of connections closed: the next attempt has another one. */
function replaced(cause: unknown): TransportError {
  return new TransportError("maxConnectionCount was changed", { sent: "maybe", cause });
}

/** Waits for what hears of no signal and may never end. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abortable = { abort: reject };
    follow(signal, abortable);
    work.then(resolve, reject).finally(() => unfollow(signal, abortable));
  });
}

/** The beginning of a body: what an error keeps of it, and enough to see a token there whole. */
async function readSome(response: StreamedResponse): Promise<Bytes> {
  const pieces: Bytes[] = [];
  let length = 0;
  while (length < MOST_ERROR_BYTES) {
    const piece = await response.read();
    if (piece === undefined) break;
    pieces.push(piece);
    length += piece.length;
  }
  response.cancel(undefined);
  return joinChunks(pieces, length);
}
