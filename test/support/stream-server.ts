import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** A request whose body has come, and the answer that the test writes. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly body: Buffer;
  readonly response: ServerResponse;
  /** Resolves when the connection of the answer is closed, by whomever. */
  readonly closed: Promise<unknown>;
}

/** A server of this test's own on a real socket, whose answers the test writes piece by piece. */
export async function startStreamServer(answer: (exchange: Exchange) => unknown) {
  const exchanges: Exchange[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    request.on("error", () => {});
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      // It was broken off.
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

/** An answer of one text or of bytes, sent in pieces of `size` bytes, each a chunk of its own. */
export function inChunks(body: string | Uint8Array, size: number, headers: Record<string, string> = {}) {
  return async ({ response }: Exchange) => {
    const bytes = Buffer.from(body);
    response.writeHead(200, headers);
    for (let at = 0; at < bytes.length; at += size) {
      response.write(bytes.subarray(at, at + size));
      // So that each piece is one for who reads.
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.end();
  };
}
