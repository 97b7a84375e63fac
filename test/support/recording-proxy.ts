import { once } from "node:events";
import { createServer, type IncomingMessage, request as send } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { CA, type Certificate } from "./certificates.js";

/** A request that a proxy received. */
export interface ProxiedRequest {
  /** `CONNECT host:port`, or the method and the whole URL. */
  readonly line: string;
  readonly headers: IncomingMessage["headers"];
}

export interface ProxyOptions {
  /** Returns the status for a `CONNECT` that is refused. */
  readonly refuse?: ((authority: string) => number | undefined) | undefined;
  /** Whether `CONNECT` gets no response. */
  readonly hang?: boolean;
  /** Serves TLS with this certificate. */
  readonly tls?: Certificate | undefined;
}

/** Starts an HTTP proxy that records what it receives. It forwards absolute URLs and opens tunnels. */
export async function startProxy({ refuse = () => undefined, hang = false, tls }: ProxyOptions = {}) {
  const seen: ProxiedRequest[] = [];
  const sockets = new Set<Socket>();
  const server = tls ? createSecureServer({ ...tls, ca: CA }) : createServer();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  server.on("request", (request: IncomingMessage, response) => {
    seen.push({ line: `${request.method} ${request.url}`, headers: request.headers });
    const { "proxy-authorization": _, ...headers } = request.headers;
    const onward = send(request.url as string, { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode as number, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.on("connect", (request: IncomingMessage, socket: Socket) => {
    seen.push({ line: `CONNECT ${request.url}`, headers: request.headers });
    socket.on("error", () => {});
    if (hang) {
      socket.resume().once("end", () => socket.destroy());
      return;
    }
    const status = refuse(request.url as string);
    if (status !== undefined) {
      socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 2\r\n\r\nno`);
      return;
    }
    const [host, port] = (request.url as string).split(":") as [string, string];
    const onward = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    sockets.add(onward);
    onward.on("error", () => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, origin: `${tls ? "https" : "http"}://127.0.0.1:${port}`, seen, sockets };
}
