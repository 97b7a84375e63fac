import type { Dispatcher } from "undici";
import { messageOf } from "../../../util/realms.js";
import { totalLength } from "../../chunks.js";
import {
  type HeaderPair,
  type StreamedResponse,
  type StreamRequest,
  type Transport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from "../../contract.js";
import { loadFailure } from "../load-failure.js";
import { checkConnect, type NodeTransportOptions } from "../options.js";
import { dialerOver } from "../websocket.js";
import { makeAgent, type RequestAgent } from "./agent.js";
import { type Connections, connectionsOf } from "./connect.js";
import { Connectors } from "./connector.js";
import { BufferedExchange } from "./exchange.js";
import { bodyOf, StreamedExchange } from "./stream.js";
import { Traffic } from "./traffic.js";

export type { NodeTransportOptions } from "../options.js";

/**
 * Creates a transport with a connection pool, based on undici's `Agent.dispatch`. undici is loaded by the first `send`
 * or by `ready`. `close` cancels open streams and waits for other exchanges in progress, which end no later than their
 * timeouts.
 *
 * @example
 * const transport = nodeTransport({ connections: 20 });
 * const client = new PredictClient({ endpoint, serviceName, token, transport });
 * // …
 * await client.close();
 * await transport.close();
 */
export function nodeTransport(options: NodeTransportOptions = {}): Transport {
  const settings = checkConnect(options);
  let agent: RequestAgent | undefined;
  let loading: Promise<RequestAgent> | undefined;
  let connecting: Promise<Connections> | undefined;
  let closing: Promise<void> | undefined;
  const connectors = new Connectors(options);
  const traffic = new Traffic();
  // With `reset`, undici sends `Connection: close`. The key is always present, with the value undefined if unused,
  // because adding the key with a spread is slow.
  const reset = options.reuseConnections === false ? true : undefined;
  const streams = new Set<StreamedExchange>();
  // Cache the most recent header list in undici's format, because nearly all requests from a client have the same
  // headers.
  let lastHeaders: readonly HeaderPair[] = [];
  let lastFlat: string[] = [];

  function connections(): Promise<Connections> {
    connecting ??= connectionsOf(settings);
    return connecting;
  }

  function load(): Promise<RequestAgent> {
    loading ??= connections()
      .then((connections) => makeAgent(settings, connections, connectors))
      .then(
        (made) => {
          agent = made;
          return made;
        },
        (error) => {
          throw loadFailure("undici", error);
        },
      );
    return loading;
  }

  function dispatch<Answer, R extends StreamRequest>(
    agent: RequestAgent,
    request: R,
    begin: Begin<Answer, R>,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (request.headers !== lastHeaders) {
        lastHeaders = request.headers;
        // Use a loop, because `flat` takes twenty times as long. This matters for signed headers, which differ in each
        // request.
        lastFlat = [];
        for (const [name, value] of request.headers) lastFlat.push(name, value);
      }
      const { chunks } = request;
      try {
        agent.dispatch(
          {
            origin: request.origin,
            path: request.path,
            method: request.method as Dispatcher.HttpMethod,
            headers: chunks === undefined ? lastFlat : [...lastFlat, "content-length", String(totalLength(chunks))],
            body: chunks === undefined ? bodyOf(request.body) : (chunks as never),
            reset: reset as true,
          },
          begin(request, resolve, reject),
        );
      } catch (error) {
        // undici reports its own errors to the handler, so an exception means that this is not a working agent.
        const why = messageOf(error);
        const failure = new TransportError(`undici cannot send: ${why}`, { sent: "no", final: true, cause: error });
        request.exchange?.cancel(failure);
        reject(failure);
      }
    });
  }

  function exchange<Answer, R extends StreamRequest>(request: R, begin: Begin<Answer, R>): Promise<Answer> {
    if (closing) return Promise.reject(new TransportError("the transport was closed", { sent: "no", final: true }));
    if (agent) return dispatch(agent, request, begin);
    return load().then((agent) => {
      if (request.signal.aborted) throw request.signal.reason;
      // The time needed to load undici does not count toward the attempt's timeout.
      request.onDispatch();
      return dispatch(agent, request, begin);
    });
  }

  const beginSend: Begin<TransportResponse, TransportRequest> = (request, resolve, reject) =>
    new BufferedExchange(request, resolve, reject, traffic);
  const beginStream: Begin<StreamedResponse, StreamRequest> = (request, resolve, reject) =>
    new StreamedExchange(request, resolve, reject, streams);

  async function close(): Promise<void> {
    if (!loading) return;
    const agent = await loading.catch(() => undefined);
    if (agent === undefined) return;
    // Cancel open streams, because a stream may be endless.
    const reason = new TransportError("the transport was closed", { sent: "maybe", final: true });
    for (const stream of streams) stream.cancel(reason);
    await traffic.idle();
    // Otherwise, undici would also wait for abandoned requests that still need a connection.
    connectors.abandon(reason);
    await agent.destroy();
  }

  return {
    sendsChunks: true,
    showsFraming: true,
    send: (request) => exchange(request, beginSend),
    stream(request) {
      // Check the signal here, because undici would open a connection before noticing the abort.
      if (request.self !== request && request.signal.aborted) return Promise.reject(request.signal.reason);
      return exchange(request, beginStream);
    },
    dialWebSocket: dialerOver(async () => {
      if (closing) throw new TransportError("the transport was closed", { sent: "no", final: true });
      return (await connections()).forSockets;
    }),
    async ready() {
      await load();
    },
    close() {
      closing ??= close();
      return closing;
    },
  };
}

/** Creates the handler that undici calls during an exchange. */
type Begin<Answer, R extends StreamRequest> = (
  request: R,
  resolve: (answer: Answer) => void,
  reject: (reason: unknown) => void,
) => Dispatcher.DispatchHandler;
