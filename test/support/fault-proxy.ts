import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/**
 * What a proxy does with a request. It forwards it, responds with a status itself, forwards it and resets the
 * connection instead of responding, resets it without forwarding, or never responds.
 */
export type ProxyVerdict = "pass" | number | "lose" | "reset" | "hang";

export interface ProxiedRequest {
  readonly method: string;
  readonly url: string;
  /** The operation on a queue, and the items that it names. */
  readonly operation: "commit" | "negative" | "delete" | "watch" | "attributes" | "get" | "put" | "other";
  readonly indexes: readonly string[];
}

/** Starts a proxy on a real socket between a client and a server. It forwards WebSockets. */
export async function startFaultProxy(target: string, decide: (request: ProxiedRequest) => ProxyVerdict) {
  const { port } = new URL(target);
  const seen: (ProxiedRequest & { readonly verdict: ProxyVerdict })[] = [];
  const sockets = new Set<Socket>();
  let rule = decide;
  const retryDecisionOn = (incoming: IncomingMessage) => {
    const request = requestOf(incoming);
    const verdict = rule(request);
    seen.push({ ...request, verdict });
    return verdict;
  };
  const server = createServer((incoming, outgoing) => {
    const verdict = retryDecisionOn(incoming);
    if (verdict === "hang") return;
    if (verdict === "reset") return void incoming.socket.resetAndDestroy();
    if (typeof verdict === "number") return void outgoing.writeHead(verdict).end();
    const { method, url: path, headers } = incoming;
    const forwarded = httpRequest({ host: "127.0.0.1", port, method, path, headers, agent: false }, (answer) => {
      if (verdict === "lose") {
        answer.resume().once("end", () => incoming.socket.resetAndDestroy());
        return;
      }
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.on("error", () => outgoing.destroy());
      answer.pipe(outgoing);
      outgoing.flushHeaders();
    });
    forwarded.on("error", () => incoming.socket.destroy());
    outgoing.on("close", () => forwarded.destroy());
    incoming.pipe(forwarded);
  });
  server.on("upgrade", (incoming, socket: Socket, first: Buffer) => {
    const verdict = retryDecisionOn(incoming);
    if (typeof verdict === "number") return void socket.end(`HTTP/1.1 ${verdict} Refused\r\nContent-Length: 0\r\n\r\n`);
    if (verdict !== "pass") return void socket.destroy();
    const upstream = connect(Number(port), "127.0.0.1");
    const lines = Array.from({ length: incoming.rawHeaders.length / 2 }, (_, i) =>
      incoming.rawHeaders.slice(2 * i, 2 * i + 2).join(": "),
    );
    upstream.write(`GET ${incoming.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    upstream.write(first);
    for (const [from, to] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  );
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    of: (operation: ProxiedRequest["operation"]) => seen.filter((each) => each.operation === operation),
    decide(next: (request: ProxiedRequest) => ProxyVerdict) {
      rule = next;
    },
  };
}

function requestOf({ method = "GET", url = "/" }: IncomingMessage): ProxiedRequest {
  const { searchParams } = new URL(url, "http://proxy");
  const has = (name: string) => searchParams.get(name) === "true";
  const indexes = searchParams.get("_indexes_")?.split(",") ?? [];
  let operation: ProxiedRequest["operation"] = "other";
  if (method === "PUT") operation = has("_negative_") ? "negative" : "commit";
  else if (method === "DELETE") operation = "delete";
  else if (method === "POST") operation = "put";
  else if (has("_watch_")) operation = "watch";
  else if (has("_attrs_")) operation = "attributes";
  else if (searchParams.has("_index_")) operation = "get";
  return { method, url, operation, indexes };
}
