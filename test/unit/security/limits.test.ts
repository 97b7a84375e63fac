import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { lz4, lz4Frame } from "../../../src/compression/lz4.js";
import { snappy } from "../../../src/compression/snappy.js";
import { zstd } from "../../../src/compression/zstd.js";
import { startEmulator } from "../../../src/emulator/index.js";
import { type CompressionCodec, QueueClient } from "../../../src/index.js";
import { joinChunks, pushChunk } from "../../../src/platform/chunks.js";
import { clientOf, errorOf, startServer, TOKEN } from "../../support/calls.js";
import { answer, type Behaviour } from "../../support/misbehaving-server.js";
import { watchWith } from "../../support/queue-watch.js";

// A service, or an attacker in its place, must not cause more use of memory and time than the limits allow.

const MiB = 1024 * 1024;
const CONNECTIONS = [
  ["with the runtime's connections", {}],
  ["with fetch", { fetch: globalThis.fetch as never }],
] as const;

/** A response with this head, whose body repeats `piece` for as long as the client reads. */
function endless(head: string, piece: string | Uint8Array) {
  let sent = 0;
  let closed: () => void = () => {};
  const gone = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const behaviour: Behaviour = {
    on: "request",
    run(socket: Socket) {
      socket.once("close", closed);
      socket.write(head);
      const more = () => {
        while (!socket.destroyed) {
          sent += piece.length;
          if (!socket.write(piece)) return;
        }
      };
      socket.on("drain", more);
      more();
    },
  };
  return { behaviour, gone, sent: () => sent };
}

const CHUNK = `10000\r\n${"x".repeat(65_536)}\r\n`;
/** Maximum number of bytes in transit when a connection is closed: the buffers of both ends. */
const ON_THE_WAY = 32 * MiB;

describe.each(CONNECTIONS)("endless error bodies, %s", (_, options) => {
  test.each([
    ["chunked", "Transfer-Encoding: chunked", CHUNK],
    ["with a Content-Length", `Content-Length: ${4 * 1024 * MiB}`, "x".repeat(65_536)],
    ["until the connection ends", "Connection: close", "x".repeat(65_536)],
  ])("keeps the first 64 KiB and closes the connection: %s", async (_, header, piece) => {
    const server = await startServer();
    for (const status of [400, 500]) {
      const { behaviour, gone, sent } = endless(`HTTP/1.1 ${status} Bad\r\n${header}\r\n\r\n`, piece);
      server.always(behaviour);
      const error = await errorOf(clientOf(server, { retryCount: 0, ...options }).predict("x"));
      expect(error).toMatchObject({ code: "ERR_EAS_HTTP", status });
      expect(error.body).toHaveLength(65_536);
      expect(error.message.length).toBeLessThan(1000);
      await gone;
      expect(sent()).toBeLessThan(ON_THE_WAY);
    }
  });

  test("applies a maxResponseBytes below 64 KiB and keeps the status", async () => {
    const server = await startServer();
    server.always(answer(503, {}, "x".repeat(1001)));
    const error = await errorOf(clientOf(server, { maxResponseBytes: 1000, retryCount: 0, ...options }).predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_HTTP", status: 503, retryable: true });
    expect(error.body).toHaveLength(1000);
  });

  test("uses a working connection for the next call", async () => {
    const server = await startServer();
    server.play(endless("HTTP/1.1 500 Bad\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK).behaviour);
    const client = clientOf(server, { retryCount: 1, ...options });
    expect(`${await client.predict("x")}`).toBe("ok");
    expect(`${await client.predict("x")}`).toBe("ok");
  });

  test("limits a decompressed error body", async () => {
    const server = await startServer();
    server.always(answer(400, { "Content-Encoding": "gzip" }, gzipSync(Buffer.alloc(64 * MiB))));
    const error = await errorOf(clientOf(server, options).predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_HTTP", status: 400 });
    // The decompressed bytes if the runtime decompresses them, otherwise the received bytes.
    expect(error.body?.length).toBeLessThanOrEqual(65_536);
  });
});

test("limits endless error bodies of a queue and of a watch", async () => {
  const server = await startServer();
  const client = new QueueClient({
    endpoint: server.origin,
    queueName: "q",
    token: TOKEN,
    logger: null,
    retryCount: 0,
  });
  onTestFinished(() => client.close());
  const head = "HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const call of [() => client.get(), () => client.put("x")]) {
    const { behaviour, gone } = endless(head, CHUNK);
    server.always(behaviour);
    expect((await errorOf(call())).body).toHaveLength(65_536);
    await gone;
  }
  for (const transport of ["http", "websocket"] as const) {
    const { behaviour, gone, sent } = endless(head, CHUNK);
    server.always(behaviour);
    const { errors, done } = watchWith(client, 0, 1, { transport });
    await done;
    expect(errors).toEqual([expect.objectContaining({ code: "ERR_EAS_HTTP", status: 401 })]);
    await gone;
    expect(sent()).toBeLessThan(ON_THE_WAY);
  }
});

describe("response bodies", () => {
  test("allocates no memory for a Content-Length whose bytes have not arrived", async () => {
    const server = await startServer();
    server.always({
      on: "request",
      run: (socket) => void socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${200 * MiB}\r\n\r\nx`),
    });
    const client = clientOf(server, { timeout: 20_000 });
    const before = process.memoryUsage().arrayBuffers;
    const gone = new AbortController();
    const calls = Array.from({ length: 5 }, () => client.predict("x", { signal: gone.signal }).catch(() => {}));
    await server.seen(5);
    // Five round trips of another client take longer than reading the rest of the response.
    const other = clientOf(await startServer());
    for (let i = 0; i < 5; i++) await other.predict("x");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * MiB);
    gone.abort();
    await Promise.all(calls);
  });

  test.each([0, 1, MiB - 1, MiB, MiB + 1, 9 * MiB])(
    "joins a body of %i bytes from chunks of any size",
    async (length) => {
      const server = await startServer();
      const body = Buffer.alloc(length, "0123456789abcdef-");
      server.always(answer(200, {}, body));
      const got = await clientOf(server, { timeout: 20_000 }).predict(new Uint8Array(1));
      expect(Buffer.compare(got, body)).toBe(0);
      expect(got.buffer.byteLength).toBe(length);
    },
  );

  test("does not keep a separate chunk for each byte", () => {
    // A list of one array per byte would take a hundred times as much memory.
    for (const sizes of [[1], [1, 3, 0, 2], [5000, 1], [4095, 4096, 1, 70_000]]) {
      const chunks: Uint8Array<ArrayBuffer>[] = [];
      const hash = createHash("sha1");
      let length = 0;
      for (let i = 0; i < 300_000 && length < 8 * MiB; i++) {
        const chunk = new Uint8Array(sizes[i % sizes.length] as number).fill(i);
        hash.update(chunk);
        length += chunk.length;
        pushChunk(chunks, chunk);
      }
      expect(chunks.length).toBeLessThan(1024 + 2 * (length / 4096));
      const whole = createHash("sha1").update(joinChunks(chunks, length));
      expect(whole.digest("hex")).toBe(hash.digest("hex"));
    }
  });

  test.each(CONNECTIONS)("reads chunks of one byte, %s", async (_, options) => {
    const server = await startServer();
    const body = Array.from({ length: 20_000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
    const chunks = [...body].map((byte) => `1\r\n${byte}\r\n`).join("");
    const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    server.always({ on: "request", run: (socket) => void socket.write(`${head}${chunks}0\r\n\r\n`) });
    expect(`${await clientOf(server, options).predict("x")}`).toBe(body);
  });

  test.each(CONNECTIONS)(
    "stops an endless body at maxResponseBytes and closes its connection, %s",
    async (_, options) => {
      const server = await startServer();
      const { behaviour, gone, sent } = endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK);
      server.always(behaviour);
      const error = await errorOf(clientOf(server, { maxResponseBytes: MiB, ...options }).predict("x"));
      expect(error).toMatchObject({ code: "ERR_EAS_DECODE", attempts: 1 });
      await gone;
      expect(sent()).toBeLessThan(ON_THE_WAY);
    },
  );

  test.each(CONNECTIONS)("rejects endless headers, %s", async (_, options) => {
    const server = await startServer();
    for (const head of ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nX-A: "]) {
      const { behaviour, gone, sent } = endless(
        head,
        head.endsWith(" ") ? "x".repeat(1000) : `X-A: ${"x".repeat(90)}\r\n`,
      );
      server.always(behaviour);
      const error = await errorOf(clientOf(server, { retryCount: 0, ...options }).predict("x"));
      expect(error.code).toBe("ERR_EAS_NETWORK");
      await gone;
      expect(sent()).toBeLessThan(ON_THE_WAY);
    }
  });

  test.each([
    ["headers", "HTTP/1.1 200 OK\r\n", "X"],
    ["a body", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"],
    ["the body of an error", "HTTP/1.1 500 Bad\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"],
    ["interim responses", "", "HTTP/1.1 102 Processing\r\n\r\n"],
  ])("times out although bytes still arrive: %s", async (what, head, drop) => {
    const server = await startServer();
    server.always({
      on: "request",
      run(socket) {
        socket.write(head);
        const timer = setInterval(() => socket.write(drop), 5);
        socket.once("close", () => clearInterval(timer));
      },
    });
    const error = await errorOf(clientOf(server, { timeout: 150, retryCount: 0 }).predict("x"));
    if (what === "the body of an error") {
      expect(error).toMatchObject({ code: "ERR_EAS_HTTP", status: 500 });
      expect(String(Buffer.from(error.body as Uint8Array))).toMatch(/^x*$/);
      return;
    }
    const phase = what.includes("body") ? "body" : "headers";
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase, timeout: 150 });
  });
});

describe("decompression bombs", () => {
  const codecs: readonly CompressionCodec[] = [snappy, lz4Frame, zstd];
  const zeros = new Uint8Array(32 * MiB);
  const limit = MiB;

  async function refused(encoding: string, body: Uint8Array, decompression: unknown = codecs, headers = {}) {
    const server = await startServer();
    server.always(answer(200, encoding === "" ? headers : { "Content-Encoding": encoding, ...headers }, body));
    const client = clientOf(server, {
      maxResponseBytes: limit,
      decompression: decompression as never,
      timeout: 20_000,
    });
    const error = await errorOf(client.predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_DECODE", attempts: 1, retryable: false });
    return error.message;
  }

  test.each(codecs.map((codec) => [codec.name, codec] as const))("stops at maxResponseBytes: %s", async (_, codec) => {
    const bomb = new Uint8Array(await codec.compress(zeros));
    expect(await refused(codec.contentCodings?.[0] as string, bomb)).toContain("maxResponseBytes");
  });

  test("stops at maxResponseBytes: an LZ4 block, with and without its length", async () => {
    const bomb = new Uint8Array(await lz4.compress(zeros));
    expect(await refused("", bomb, lz4)).toContain("maxResponseBytes");
    const length = { "X-LZ4-Original-Length": String(zeros.length) };
    expect(await refused("", bomb, lz4, length)).toContain("maxResponseBytes");
  });

  test("stops at maxResponseBytes: up to four nested codings", async () => {
    let bomb = gzipSync(zeros);
    for (let depth = 1; depth <= 4; depth++) {
      const encoding = Array(depth).fill("gzip").join(", ");
      expect(await refused(encoding, bomb)).toContain("maxResponseBytes");
      bomb = gzipSync(bomb);
    }
    expect(await refused("gzip, gzip, gzip, gzip, gzip", bomb)).toContain("5 content codings");
  });

  test("stops at maxResponseBytes: a codec within gzip, each below the limit", async () => {
    for (const codec of [lz4Frame, zstd]) {
      const inner = await codec.compress(zeros);
      expect(await refused(`${codec.contentCodings?.[0]}, gzip`, gzipSync(inner))).toContain("maxResponseBytes");
    }
  });

  test("allocates no memory for the length that a frame claims", async () => {
    // zstd: a frame of one empty block that claims 2^40 bytes. snappy: a claim of 2^32 - 1 bytes.
    const claims: [string, string][] = [
      ["zstd", "28b52ffde00000000000010000010000"],
      ["snappy", "ffffffff0f00"],
    ];
    const before = process.memoryUsage().arrayBuffers;
    for (const [encoding, hex] of claims) await refused(encoding, Buffer.from(hex, "hex"));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * MiB);
  });
});

/** Whether a server accepts connections at this address. */
async function isOpen(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

describe("the emulator", () => {
  test("listens only on 127.0.0.1 and has no option for another address", async () => {
    // Options that other servers accept.
    for (const name of ["host", "hostname", "address", "listen"]) {
      await expect(startEmulator({ [name]: "0.0.0.0" } as never)).rejects.toMatchObject({ code: "ERR_EAS_ARG_OPTION" });
    }
    const { port, endpoint, close } = await startEmulator();
    onTestFinished(close);
    expect(endpoint).toBe(`http://127.0.0.1:${port}`);
    expect(await isOpen("127.0.0.1", port)).toBe(true);
    const others = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ address, scopeid }) => address !== "127.0.0.1" && !scopeid)
      .map(({ address }) => address);
    // Another loopback address, at which a server that listens on all interfaces would respond.
    for (const host of [...others, "127.0.0.2", "::1"]) expect([host, await isOpen(host, port)]).toEqual([host, false]);
  });
});
