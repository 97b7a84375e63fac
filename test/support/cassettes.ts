import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { onTestFinished } from "vitest";

/** Creates a directory that is removed after the test. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "cassette-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Returns all bytes of all files below a directory, as Latin-1 text. */
export async function allBytes(directory: string): Promise<string> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map((file) => readFile(file, "latin1")))).join("\n");
}

/** A response as a client on a socket receives it. */
export interface RawResponse {
  readonly status: number | undefined;
  readonly statusText: string | undefined;
  readonly headers: Record<string, unknown>;
  readonly body: Buffer;
}

/** A request of `sendRaw`. */
export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
}

/** Headers that belong to the connection or the time, and therefore differ between two equal responses. */
const CONNECTION_HEADERS = ["date", "connection", "keep-alive", "transfer-encoding"];

/** Sends a request with Node's HTTP client, independent of the SDK. */
export async function sendRaw(
  endpoint: string,
  { method = "POST", path, headers, body }: RawRequest,
): Promise<RawResponse> {
  const sent = request(endpoint + path, { method, agent: false, ...(headers && { headers }) });
  // A connection that breaks within the body also fails the request, which has already resolved.
  sent.on("error", () => {});
  sent.end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const kept = Object.entries(response.headers).filter(([name]) => !CONNECTION_HEADERS.includes(name));
  return {
    status: response.statusCode,
    statusText: response.statusMessage,
    headers: Object.fromEntries(kept),
    body: await buffer(response),
  };
}
