import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { PredictClient } from "../../src/index.js";
import { nodeListener } from "../../src/node.js";
import { createRelay, type RelayClient, type RelayOptions, type RelayRequestInit } from "../../src/relay/index.js";

/** A call that a service received. */
export interface RelayedCall extends RelayRequestInit {
  readonly path: string;
}

/** Creates a client whose service is a function, and records its calls. */
export function memoryService(answer: (call: RelayedCall) => Response | Promise<Response> = () => new Response("ok")) {
  const calls: RelayedCall[] = [];
  const client: RelayClient = {
    async fetch(path, init) {
      const call = { path, ...init };
      calls.push(call);
      return await answer(call);
    },
  };
  return { client, calls };
}

/** Creates a relay before a service in memory, and a function that sends requests to it. */
export function memoryRelay(
  options: Partial<RelayOptions> = {},
  answer?: (call: RelayedCall) => Response | Promise<Response>,
) {
  const { client, calls } = memoryService(answer);
  const errors: unknown[] = [];
  const relay = createRelay({
    ...(options.services === undefined && { client }),
    allow: [{ paths: ["/*"] }],
    onError: (error) => errors.push(error),
    ...options,
  });
  const ask = (path: string, init?: RequestInit) =>
    relay(new Request(`https://my.site${path}`, { method: "POST", ...init, ...(init?.body && { duplex: "half" }) }));
  return { relay, ask, calls, errors };
}

/** Returns the status and the message of a refusal. */
export async function refusalOf(answer: Response): Promise<[status: number, error: string]> {
  const { error } = (await answer.json()) as { error: string };
  return [answer.status, error];
}

/** Starts a `node:http` server that is closed after the test. Returns its origin. */
export async function listen(listener: (incoming: IncomingMessage, outgoing: ServerResponse) => void): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Starts a relay on a free port. Returns its origin. */
export function listenRelay(options: RelayOptions): Promise<string> {
  return listen(nodeListener(createRelay(options)));
}

/** Creates the client for a relay, with the token of the emulator's services. */
export function serviceClient(
  emulator: { readonly endpoint: string; readonly token: string },
  serviceName: string,
): PredictClient {
  const client = new PredictClient({ endpoint: emulator.endpoint, serviceName, token: emulator.token });
  onTestFinished(() => void client.close());
  return client;
}
