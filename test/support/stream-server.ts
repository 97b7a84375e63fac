import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** A complete request, and the response that the test writes. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly body: Buffer;
  readonly response: ServerResponse;
  /** Resolves when either side has closed the connection of the response. */
  readonly closed: Promise<unknown>;
}

/** Starts a server on a real socket whose responses the test writes in chunks. */
export async function startStreamServer(answer: (exchange: Exchange) => unknown) {
  const exchanges: Exchange[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    request.on("error", () => {});
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      // The connection was closed.
    }
    const exchange = { request, response, body: Buffer.concat(chunks), closed: once(response, "close") };
    exchanges.push(exchange);
    await answer(exchange);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, exchanges };
}

/** Responds with text or bytes in parts of `size` bytes, each in its own chunk. */
export function inChunks(body: string | Uint8Array, size: number, headers: Record<string, string> = {}) {
  return async ({ response }: Exchange) => {
    const bytes = Buffer.from(body);
    response.writeHead(200, headers);
    for (let at = 0; at < bytes.length; at += size) {
      response.write(bytes.subarray(at, at + size));
      // Waits a turn, so that the client reads each part separately.
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.end();
  };
}
