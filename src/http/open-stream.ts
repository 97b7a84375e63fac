import { EasUnsupportedError } from "../errors.js";
import { joinChunks } from "../platform/fetch-transport.js";
import type { HeaderPair, StreamedResponse } from "../platform/platform.js";
import type { Bytes } from "../request.js";
import { Attempt } from "./attempt.js";
import { authorize, currentToken } from "./auth.js";
import type { CallPlan } from "./call-plan.js";
import { follow, unfollow } from "./caller-signal.js";
import type { Channel } from "./channel.js";
import { ERROR_BODY_BYTES, type FailedCall, httpFailure, networkFailure, timeoutFailure } from "./failure.js";

/** The headers of one attempt that is not signed, and the token in them. Rejects with the signal's reason when it fires. */
export async function headersOf(
  plan: CallPlan,
  channel: Channel,
  signal: AbortSignal | undefined,
): Promise<{ readonly headers: readonly HeaderPair[]; readonly token: string }> {
  signal?.throwIfAborted();
  const given = currentToken(plan.token);
  const token = typeof given === "string" || signal === undefined ? await given : await unlessAborted(given, signal);
  signal?.throwIfAborted();
  if (token === "") return { headers: plan.headers, token };
  return { headers: [...plan.headers, ...(await authorize(plan, token, channel.platform, undefined))], token };
}

/**
 * Makes one attempt to get an answer whose body is read piece by piece. `plan.timeout` is the time for its head. Rejects
 * as a call does, for a status that is no success too. The plan's signal has no say over the body.
 */
export async function openStream(channel: Channel, plan: CallPlan): Promise<StreamedResponse> {
  const { signal } = plan;
  const { headers, token } = await headersOf(plan, channel, signal);
  const call: FailedCall = { plan, token: token.trim(), attempts: 1 };
  const attempt = new Attempt(plan, headers, null, channel.timeouts, plan.timeout);
  const abortable = { abort: (reason: unknown) => attempt.cancel(reason) };
  if (signal !== undefined) follow(signal, abortable);
  let response: StreamedResponse;
  let refusal: Bytes | undefined;
  try {
    response = await attempt.open(channel.transport);
    if (response.status < 200 || response.status > 299) refusal = await attempt.outlive(readSome(response));
  } catch (error) {
    if (attempt.expired) throw timeoutFailure(call, attempt.phase).error;
    if (signal?.aborted) throw signal.reason;
    if (error instanceof EasUnsupportedError) throw error;
    throw networkFailure(call, error, attempt.phase, channel.reached.has(plan.target.origin)).error;
  } finally {
    attempt.settle();
    if (signal !== undefined) unfollow(signal, abortable);
  }
  channel.reached.add(plan.target.origin);
  if (refusal === undefined) return response;
  const { status, headers: answered } = response;
  throw httpFailure(call, { status, headers: answered, body: refusal, contentEncoding: undefined }, refusal).error;
}

/** Waits for a token function, which hears of no signal and may never answer. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abortable = { abort: reject };
    follow(signal, abortable);
    work.then(resolve, reject).finally(() => unfollow(signal, abortable));
  });
}

/** The beginning of a body: as much as an error keeps of it. */
async function readSome(response: StreamedResponse): Promise<Bytes> {
  const pieces: Bytes[] = [];
  let length = 0;
  while (length < ERROR_BODY_BYTES) {
    const piece = await response.read();
    if (piece === undefined) break;
    pieces.push(piece);
    length += piece.length;
  }
  response.cancel(undefined);
  return joinChunks(pieces, length);
}
