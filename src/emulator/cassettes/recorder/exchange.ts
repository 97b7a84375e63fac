import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import { isError } from "../../../util/realms.js";
import { reset } from "../../server/upgrade.js";
import { type CassetteRequest, type CassetteResponse, isReplayable } from "../cassette.js";
import type { Redaction } from "../redaction.js";
import { CompressedCheck } from "./compressed-check.js";
import {
  forwardedHeaders,
  type Pair,
  RecordedBody,
  recordedRequestHeaders,
  recordedResponseHeaders,
  type Session,
} from "./session.js";

/** Maximum number of chunks in a recorded body, and of messages in a recorded WebSocket. */
export const MAX_CHUNKS = 100_000;

/** Forwards a request to the target, and records it with its response. */
export async function recordExchange(
  session: Session,
  modules: HttpModules,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const startedAt = performance.now();
  const complete = session.begin();
  const { method = "GET", url = "/" } = incoming;
  const headers = forwardedHeaders(incoming);
  const redaction = session.secrets.learn(headers, url);
  const requestBody = new RecordedBody(await session.store.body(), redaction.request());
  const responseBody = new RecordedBody(await session.store.body(), redaction.response());
  const name = `${method} ${redaction.url(url)}`;
  const upstream = sendRequest(session, modules, incoming, headers);
  let isCanceled = false;
  outgoing.once("close", () => {
    isCanceled = !outgoing.writableFinished;
    if (isCanceled) upstream.destroy();
  });
  const sent = sendBody(incoming, upstream, requestBody);
  const discard = () => Promise.all([requestBody.discard(), responseBody.discard()]);

  const received = await headOf(upstream);
  if (isError(received)) {
    if (isUnreachable(received)) {
      session.warn(`${name} was not recorded: the target cannot be reached: ${received.message}`);
      await sent;
      await discard();
      return refuse(outgoing, 502, `recorder: the target cannot be reached: ${received.message}`);
    }
    if (!(await sent) || isCanceled) {
      session.warn(`${name} was not recorded: the client disconnected before the response`);
      return void (await discard());
    }
    await responseBody.discard();
    reset(incoming.socket);
    const request = await finishRequest(session, { name, method, url, headers, redaction }, requestBody);
    if (request !== undefined) complete({ request, broken: true });
    return;
  }
  const { statusCode: status = 0, statusMessage: statusText = "" } = received;
  if (!isReplayable(status)) {
    upstream.destroy();
    await sent;
    await discard();
    return refuse(outgoing, 502, session.refuseStatus(name, status));
  }
  const delay = Math.round(performance.now() - startedAt);
  const responseHeaders = relativeLocation(session, forwardedHeaders(received));
  outgoing.sendDate = false;
  outgoing.writeHead(status, statusText, responseHeaders.flat());
  outgoing.flushHeaders();
  const check = await CompressedCheck.create(received.headers["content-encoding"], redaction);
  const { chunks, end } = await copyBody(received, outgoing, { body: responseBody, check }, () => isCanceled);
  if (await check?.end()) {
    session.warn(`${name} was not recorded: the compressed response contains a secret`);
    await sent;
    return void (await discard());
  }
  const { problem } = responseBody;
  if (problem !== undefined) session.warn(`${name}: the response body was cut, because it ${problem}`);
  await sent;
  const request = await finishRequest(session, { name, method, url, headers, redaction }, requestBody);
  if (request === undefined) return responseBody.discard();
  const body = await responseBody.finish(received.headers["content-type"], end === "complete");
  const response: CassetteResponse = {
    status,
    statusText: redaction.text(statusText),
    headers: recordedResponseHeaders(responseHeaders, redaction),
    delay,
    body,
    chunks: chunks.length === 0 ? undefined : chunks,
    end,
  };
  complete({ request, response });
}

/** The functions that send requests over HTTP and HTTPS. */
export interface HttpModules {
  readonly http: typeof import("node:http");
  readonly https: typeof import("node:https");
}

/**
 * Starts the request to the target. Each request uses a new connection, because a stale connection would look like a
 * failure of the service.
 */
function sendRequest(
  session: Session,
  { http, https }: HttpModules,
  incoming: IncomingMessage,
  headers: readonly Pair[],
): ClientRequest {
  const sent: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    const previous = sent[key];
    sent[key] = previous === undefined ? value : [previous, value].flat();
  }
  // Node sends a chunked body with GET and DELETE only if this header is set.
  if (incoming.headers["transfer-encoding"] !== undefined) sent["transfer-encoding"] = "chunked";
  const { request } = session.target.protocol === "https:" ? https : http;
  const path = session.pathOf(incoming.url ?? "/");
  return request(session.target, { method: incoming.method ?? "GET", path, headers: sent, agent: false });
}

/** Resolves with the response when its headers have arrived, or with the connection error. */
function headOf(upstream: ClientRequest): Promise<IncomingMessage | Error> {
  return new Promise((resolve) => {
    upstream.on("response", resolve);
    upstream.on("error", resolve);
    upstream.on("close", () => resolve(new Error("the connection was closed")));
  });
}

/** Whether no connection was made, so that the target cannot have received the request. */
function isUnreachable(error: Error): boolean {
  const { code, syscall } = error as { code?: string; syscall?: string };
  return ["connect", "getaddrinfo"].includes(syscall ?? "") || /CERT|TLS|SSL|SIGNATURE|ALTNAME/.test(code ?? "");
}

/** Sends and records the request body. Resolves with whether the whole body was received from the client. */
async function sendBody(incoming: IncomingMessage, upstream: ClientRequest, body: RecordedBody): Promise<boolean> {
  try {
    for await (const chunk of incoming) {
      await body.write(chunk as Uint8Array);
      if (!upstream.destroyed && !upstream.write(chunk)) await drained(upstream);
    }
    upstream.end();
    return true;
  } catch {
    upstream.destroy();
    return false;
  }
}

interface RequestFacts {
  readonly name: string;
  readonly method: string;
  readonly url: string;
  readonly headers: readonly Pair[];
  readonly redaction: Redaction;
}

/** Completes the recorded request. Returns undefined if it cannot be recorded, because its body was not stored. */
async function finishRequest(
  session: Session,
  { name, method, url, headers, redaction }: RequestFacts,
  body: RecordedBody,
): Promise<CassetteRequest | undefined> {
  if (body.problem !== undefined) {
    session.warn(`${name} was not recorded: the request body ${body.problem}`);
    await body.discard();
    return undefined;
  }
  const contentType = headers.find(([name]) => /^content-type$/i.test(name))?.[1];
  return {
    method,
    url: redaction.url(url),
    headers: recordedRequestHeaders(headers, redaction),
    body: await body.finish(contentType),
  };
}

/** Sends the body to the client and records each chunk with its time since the headers. */
async function copyBody(
  received: IncomingMessage,
  outgoing: ServerResponse,
  { body, check }: { readonly body: RecordedBody; readonly check: CompressedCheck | undefined },
  isCanceled: () => boolean,
): Promise<{ chunks: number[][]; end: CassetteResponse["end"] }> {
  const startedAt = performance.now();
  const chunks: number[][] = [];
  let isCut = false;
  try {
    for await (const chunk of received as AsyncIterable<Uint8Array>) {
      const at = Math.round(performance.now() - startedAt);
      if (!outgoing.write(chunk)) await drained(outgoing);
      await check?.write(chunk);
      isCut ||= chunks.length >= MAX_CHUNKS || !(await body.write(chunk));
      if (!isCut) chunks.push([at, chunk.length]);
    }
    if (!received.complete) throw new Error("the body is incomplete");
    outgoing.end();
    return { chunks, end: isCut ? "cut" : "complete" };
  } catch {
    const end = isCut ? "cut" : isCanceled() ? "canceled" : "broken";
    if (outgoing.socket !== null) reset(outgoing.socket);
    return { chunks, end };
  }
}

/** Makes redirects within the target relative, so that clients follow them through the recorder. */
function relativeLocation(session: Session, headers: readonly Pair[]): Pair[] {
  const prefix = session.target.href.replace(/\/+$/, "");
  return headers.map(([name, value]) => {
    const isOwn = /^location$/i.test(name) && (value === prefix || value.startsWith(`${prefix}/`));
    return [name, isOwn ? value.slice(prefix.length) || "/" : value];
  });
}

/** Resolves when the stream accepts more data or is closed. */
function drained(stream: ClientRequest | ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.off("drain", done).off("close", done);
      resolve();
    };
    stream.on("drain", done).on("close", done);
    if (stream.destroyed) done();
  });
}

/** Responds with a message from the recorder. */
export function refuse(outgoing: ServerResponse, status: number, message: string): void {
  const headers = { "content-type": "text/plain; charset=utf-8", connection: "close" };
  outgoing.writeHead(status, headers).end(message);
}
