// The server side of the suite, one per runtime: an emulator that accepts pages, the same emulator without CORS,
// relays before it, and a control server. Through the control server the suite injects faults and reads the received
// requests.
import { createServer } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { startEmulator } from "../../dist/emulator.js";
import { PredictClient } from "../../dist/index.js";
import { nodeListener } from "../../dist/node.js";
import { createRelay } from "../../dist/relay.js";
import { startDyingFront } from "./dying-front.mjs";
import { QUEUE_SERVICES, SERVICES } from "./services.mjs";

const TOKEN = "suite-token";
const PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><rect width="4" height="4"/></svg>';

function listen(server) {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
}

function originOf(server) {
  return `http://127.0.0.1:${server.address().port}`;
}

/** Returns a service without CORS headers, so that pages cannot read its responses. */
function withoutCors(emulator) {
  return {
    ...emulator,
    corsHeaders: () => [],
    async fetch(request) {
      if (request.method === "OPTIONS") return new Response(null, { status: 405 });
      const answer = await emulator.fetch(request);
      const bare = new Response(answer.body, answer);
      for (const name of [...bare.headers.keys()]) if (name.startsWith("access-control-")) bare.headers.delete(name);
      return bare;
    },
  };
}

/** Starts the server side. `report` resolves with the suite's report. */
export async function startCounterpart() {
  const emulator = await startEmulator({
    token: TOKEN,
    cors: {
      exposeHeaders: ["X-Eas-Queueservice-Request-Id", "Content-Encoding", "X-LZ4-Original-Length", "Retry-After"],
    },
    logLength: 100_000,
  });
  const closed = await startEmulator({ emulator: withoutCors(emulator) });
  const state = { started: "", serial: 0, connections: 0 };
  const counted = createTcpServer((socket) => {
    state.connections++;
    const onward = connect(emulator.port, "127.0.0.1");
    socket.pipe(onward).pipe(socket);
    for (const end of [socket, onward]) end.on("error", () => socket.destroy(onward.destroy()));
  });
  await listen(counted);
  const dying = await startDyingFront(emulator.port);
  const relays = new Map();
  const relayServer = createServer(
    nodeListener((request) => {
      const relay = relays.get(new URL(request.url).pathname.split("/")[1]);
      return relay === undefined ? new Response(null, { status: 404 }) : relay(request);
    }),
  );
  await listen(relayServer);
  const relayClient = new PredictClient({ endpoint: closed.endpoint, serviceName: "echo", token: TOKEN });
  let finish;
  const report = new Promise((resolve) => {
    finish = resolve;
  });

  const isOf = (name) => (entry) => entry.service === name;
  const operations = {
    fault: (fault) => emulator.fault(fault),
    requests: ({ service }) =>
      emulator.requests.filter(isOf(service)).map(({ method, url, headers, auth, status, body }) => {
        return { method, url, headers: Object.fromEntries(headers), auth, status, length: body.length, service };
      }),
    service({ kind }) {
      const name = `${kind}-${++state.serial}`;
      emulator.addService(name, SERVICES[kind]);
      return name;
    },
    addQueue({ settings, kind }) {
      const name = `queue-${++state.serial}`;
      emulator.addQueue(name, { ...settings, service: QUEUE_SERVICES[kind] });
      return name;
    },
    relay({ services, only, ...options }) {
      const name = `relay-${++state.serial}`;
      const clientOf = (service) => relayClient.service(service);
      const served = only
        ? { client: clientOf(only) }
        : { services: Object.fromEntries(services.map((each) => [each, clientOf(each)])) };
      relays.set(name, createRelay({ ...served, base: `/${name}`, ...options }));
      return `${originOf(relayServer)}/${name}`;
    },
    queue({ name, side }) {
      const { length, isEnded, items, pushes, commits, negatives } = emulator.queue(name)[side];
      return {
        length,
        isEnded,
        pushes: pushes.map(({ index, delivery }) => ({ index: String(index), delivery })),
        commits: commits.map(({ index, auto }) => ({ index: String(index), auto })),
        items: items.map(({ index, tags, data }) => {
          return { index: String(index), tags, text: new TextDecoder().decode(data) };
        }),
        negatives: negatives.map(({ index, code, reason }) => ({ index: String(index), code, reason })),
      };
    },
    cut: ({ queue }) => emulator.cutConnections((connection) => connection.queue === queue),
    async arrived({ service, count }) {
      // Polled, because the log has no events. The suite's own deadline limits this.
      while (emulator.requests.filter(isOf(service)).length < count) await new Promise((go) => setTimeout(go, 5));
    },
    connections: () => state.connections,
    die: dying.die,
    received: dying.received,
    started({ title }) {
      state.started = title;
    },
    finished: (report) => finish(report),
  };

  const control = createServer(async (request, response) => {
    // Served like images of most sites: any page can show them, but not read them.
    if (request.url === "/picture") {
      response.writeHead(200, { "content-type": "image/svg+xml" }).end(PICTURE);
      return;
    }
    response.setHeader("access-control-allow-origin", "*");
    try {
      let text = "";
      for await (const chunk of request.setEncoding("utf8")) text += chunk;
      const operation = operations[request.url.slice(1)];
      if (operation === undefined) response.writeHead(404).end("no such operation");
      else response.end(JSON.stringify((await operation(JSON.parse(text))) ?? null));
    } catch (error) {
      response.writeHead(500).end(String(error?.stack));
    }
  });
  await listen(control);

  return {
    context: {
      endpoint: emulator.endpoint,
      closedEndpoint: closed.endpoint,
      countedEndpoint: originOf(counted),
      dyingEndpoint: dying.origin,
      control: originOf(control),
      token: TOKEN,
    },
    report,
    /** The test that ran last. */
    lastStarted: () => state.started,
    async close() {
      control.close();
      control.closeAllConnections();
      counted.close();
      dying.close();
      relayServer.close();
      relayServer.closeAllConnections();
      await relayClient.close();
      await Promise.all([closed.close(), emulator.close()]);
    },
  };
}
