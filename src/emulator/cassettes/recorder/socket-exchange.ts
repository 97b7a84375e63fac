import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { joinChunks, totalLength } from "../../../platform/chunks.js";
import { isError } from "../../../util/realms.js";
import { refuseUpgrade } from "../../server/upgrade.js";
import { type CassetteSocket, isReplayable } from "../cassette.js";
import { MAX_CHUNKS } from "./exchange.js";
import { forwardedHeaders, type Pair, RecordedBody, recordedResponseHeaders, type Session } from "./session.js";

/** Maximum size of the body of a refused upgrade. */
const MAX_REFUSAL_BYTES = 1024 * 1024;
/** Close codes that report a missing code or a missing close frame. A close frame cannot contain them. */
const UNSENDABLE_CODES: readonly number[] = [1005, 1006, 1015];

/** Completes the client's upgrade with the subprotocol that the service chose. */
type AcceptUpgrade = (protocol: string, accepted: (client: WebSocket) => void) => void;

/** Forwards a WebSocket to the target, and records its messages. @internal */
export async function recordSocket(
  session: Session,
  ws: typeof import("ws"),
  incoming: IncomingMessage,
  socket: Duplex,
  accept: AcceptUpgrade,
): Promise<void> {
  const startedAt = performance.now();
  const complete = session.begin();
  const { method = "GET", url = "/" } = incoming;
  const headers = forwardedHeaders(incoming);
  const redaction = session.secrets.learn(headers, url);
  const request = { method, url: redaction.url(url), upgrade: true };
  const protocols = (incoming.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  const upstream = new ws.WebSocket(
    session.target.origin.replace(/^http/, "ws") + session.pathOf(url),
    protocols.filter(Boolean),
    {
      headers: upgradeHeaders(headers),
      perMessageDeflate: false,
      autoPong: false,
    },
  );
  socket.once("close", () => upstream.readyState === upstream.CONNECTING && upstream.terminate());

  const opened = await new Promise<IncomingMessage | Error | undefined>((resolve) => {
    upstream.on("open", () => {
      // Messages wait until the client's upgrade is complete.
      upstream.pause();
      resolve(undefined);
    });
    upstream.on("unexpected-response", (_, response) => resolve(response));
    upstream.on("error", resolve);
  });
  const delay = Math.round(performance.now() - startedAt);
  const refuse = (message: string) =>
    refuseUpgrade(socket, 502, "", [["content-type", "text/plain; charset=utf-8"]], message);
  if (isError(opened)) {
    const message = `the target cannot be reached: ${redaction.text(opened.message)}`;
    session.warn(`${method} ${request.url} (WebSocket): ${message}`);
    return refuse(`recorder: ${message}`);
  }
  if (opened !== undefined) {
    const { statusCode: status = 502, statusMessage: statusText = "" } = opened;
    if (!isReplayable(status)) {
      upstream.terminate();
      return refuse(session.refuseStatus(`${method} ${request.url} (WebSocket)`, status));
    }
    const bytes = await readRefusal(opened);
    const responseHeaders = forwardedHeaders(opened);
    refuseUpgrade(socket, status, statusText, responseHeaders, new TextDecoder().decode(bytes));
    const body = new RecordedBody(await session.store.body(), redaction.response());
    const isWhole = (await body.write(bytes)) && opened.complete;
    const recorded = {
      status,
      statusText: redaction.text(statusText),
      headers: recordedResponseHeaders(responseHeaders, redaction),
      delay,
      body: await body.finish(opened.headers["content-type"]),
      chunks: body.problem === undefined && bytes.length > 0 ? [[0, bytes.length]] : undefined,
      end: isWhole ? "complete" : "cut",
    };
    return complete({ request, response: recorded });
  }

  const sent = new RecordedBody(await session.store.body(), redaction.request());
  const received = new RecordedBody(await session.store.body(), redaction.response());
  const recordedMessages = await new Promise<Recorded | undefined>((resolve) => {
    const abandon = () => resolve(undefined);
    socket.once("close", abandon);
    accept(upstream.protocol, (client) => {
      socket.off("close", abandon);
      resolve(pipeMessages(client, upstream, { sent, received }));
    });
    // An upgrade that is invalid or arrives too late is never accepted.
    if (socket.destroyed) abandon();
  });
  if (recordedMessages === undefined) {
    upstream.terminate();
    await Promise.all([sent.discard(), received.discard()]);
    return;
  }
  const { messages, close } = recordedMessages;
  if (close.by === "recorder") {
    const problem = sent.problem ?? received.problem ?? "exceeds a recorder limit";
    session.warn(`${method} ${request.url} (WebSocket): the recording was cut, because it ${problem}`);
  }
  const recorded: CassetteSocket = {
    protocol: upstream.protocol === "" ? undefined : redaction.text(upstream.protocol),
    delay,
    messages,
    sent: await sent.finish(),
    received: await received.finish(),
    close: { ...close, reason: redaction.text(close.reason) },
  };
  complete({ request, socket: recorded });
}

/** The recorded messages of a connection and how it ended. */
interface Recorded {
  readonly messages: (string | number)[][];
  readonly close: CassetteSocket["close"];
}

/** Passes messages and pings between the two connections. Resolves when both have ended. */
function pipeMessages(
  client: WebSocket,
  upstream: WebSocket,
  { sent, received }: { readonly sent: RecordedBody; readonly received: RecordedBody },
): Promise<Recorded> {
  const startedAt = performance.now();
  const messages: (string | number)[][] = [];
  let close: CassetteSocket["close"] | undefined;
  let isCut = false;
  /** Writes run one after another, so that the messages have the same order in a file as in the index. */
  let written: Promise<void> = Promise.resolve();

  const record = (by: "client" | "service", data: Uint8Array, isBinary: boolean) => {
    const at = Math.round(performance.now() - startedAt);
    const body = by === "client" ? sent : received;
    written = written.then(async () => {
      const stored = isCut || messages.length >= MAX_CHUNKS ? undefined : await body.writeWhole(data);
      isCut ||= stored === undefined;
      if (stored !== undefined) messages.push([by, at, isBinary ? "binary" : "text", stored.length]);
    });
    return written;
  };
  const forward = (by: "client" | "service", from: WebSocket, to: WebSocket) => {
    from.on("error", () => {});
    from.on("ping", (data) => to.readyState === to.OPEN && to.ping(data));
    from.on("pong", (data) => to.readyState === to.OPEN && to.pong(data));
    let waiting = 0;
    from.on("message", (data, isBinary) => {
      waiting++;
      from.pause();
      const delivered = new Promise<void>((resolve) => {
        if (to.readyState === to.OPEN) to.send(data as Buffer, { binary: isBinary }, () => resolve());
        else resolve();
      });
      void Promise.allSettled([record(by, data as Buffer, isBinary), delivered]).then(() => {
        if (--waiting === 0 && from.readyState !== from.CLOSED) from.resume();
      });
    });
    from.on("close", (code, reason) => {
      close ??= { code, reason: reason.toString(), by };
      if (code === 1006) to.terminate();
      else if (UNSENDABLE_CODES.includes(code)) to.close();
      else to.close(code, reason);
    });
  };
  forward("service", upstream, client);
  forward("client", client, upstream);
  upstream.resume();
  const ended = (each: WebSocket) =>
    new Promise<void>((resolve) => (each.readyState === each.CLOSED ? resolve() : each.once("close", () => resolve())));
  return Promise.all([ended(client), ended(upstream)])
    .then(() => written)
    .then(() => {
      const last = close ?? { code: 1006, reason: "", by: "service" };
      return { messages, close: isCut ? { ...last, by: "recorder" } : last };
    });
}

/** Returns the headers for the upgrade to the target, without those that `ws` sets. */
function upgradeHeaders(headers: readonly Pair[]): Record<string, string> {
  return Object.fromEntries(headers.filter(([name]) => !/^sec-websocket-/i.test(name)));
}

async function readRefusal(response: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      if (totalLength(chunks) >= MAX_REFUSAL_BYTES) break;
    }
  } catch {
    // The received part describes the refusal.
  }
  return joinChunks(chunks, totalLength(chunks));
}
