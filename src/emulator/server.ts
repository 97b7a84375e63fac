import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { EasUnsupportedError } from "../errors.js";
import { createEmulator, type Emulator, type EmulatorOptions } from "./emulator.js";

/** How `startEmulator` listens, beside what the emulator does. */
export interface StartEmulatorOptions extends EmulatorOptions {
  /** Port on the loopback interface. Default 0: any free one. */
  readonly port?: number | undefined;
}

/** An emulator behind a real HTTP server. */
export interface RunningEmulator extends Emulator {
  /** What a client takes as its endpoint: `http://127.0.0.1:<port>`. */
  readonly endpoint: string;
  readonly port: number;
  /** Breaks all connections and stops listening. */
  close(): Promise<void>;
}

/** Starts an emulator on the loopback interface. Needs Node, Deno or Bun; elsewhere use `createEmulator`. */
export async function startEmulator(options: StartEmulatorOptions = {}): Promise<RunningEmulator> {
  const emulator = createEmulator(options);
  const { createServer } = await import("node:http").catch((cause) => {
    throw new EasUnsupportedError("startEmulator needs node:http: use createEmulator and its transport here", {
      cause,
    });
  });
  const server = createServer((incoming, outgoing) => void answer(emulator, incoming, outgoing));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as { port: number };
  return {
    ...emulator,
    port,
    endpoint: `http://127.0.0.1:${port}`,
    close: () => close(server),
  };
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** Larger bodies are answered with 413. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;

async function answer(emulator: Emulator, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const gone = new AbortController();
  outgoing.once("close", () => gone.abort());
  try {
    const response = await emulator.fetch(await toRequest(incoming, gone.signal));
    const headers: [string, string][] = [...response.headers];
    outgoing.writeHead(response.status, headers.flat());
    await pipe(response, outgoing);
  } catch (error) {
    if (error instanceof BodyTooLarge) outgoing.writeHead(413, { connection: "close" }).end();
    else incoming.socket.resetAndDestroy();
  }
}

class BodyTooLarge extends Error {}

async function toRequest(incoming: IncomingMessage, signal: AbortSignal): Promise<Request> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of incoming) {
    length += (chunk as Uint8Array).length;
    if (length > MAX_BODY_BYTES) throw new BodyTooLarge();
    chunks.push(chunk as Uint8Array);
  }
  const headers = new Headers();
  const { rawHeaders, method = "GET" } = incoming;
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i] as string, rawHeaders[i + 1] as string);
  return new Request(`http://${incoming.headers.host ?? "localhost"}${incoming.url}`, {
    method,
    headers,
    body: method === "GET" || method === "HEAD" ? null : new Blob(chunks as BlobPart[]),
    signal,
  });
}

/** Sends a body with the caller's pace; what it throws breaks the connection. */
async function pipe(response: Response, outgoing: ServerResponse): Promise<void> {
  if (response.body === null) {
    outgoing.end();
    return;
  }
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!outgoing.write(value))
      await new Promise<void>((resolve) => outgoing.once("drain", resolve).once("close", resolve));
  }
  outgoing.end();
}
