import { createHash, createHmac, randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { deflateSync, gunzipSync, gzipSync, inflateSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { fetchTransport, PredictClient, type TransportRequest } from "../../../src/index.js";
import { platform as browser } from "../../../src/platform/browser/platform.js";
import { nodeTransport } from "../../../src/platform/node/http/transport.js";
import { platform as node } from "../../../src/platform/node/platform.js";
import { platform as web } from "../../../src/platform/web/platform.js";
import { platform as workerd } from "../../../src/platform/workerd/platform.js";

// Tests the contract of every platform on Node. test/runtimes tests what only the runtimes themselves show.
const all = [node, web, workerd, browser];

let server: Server;
let origin: string;
beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume().on("end", () => {
      const url = request.url as string;
      if (url === "/redirect") response.writeHead(302, { location: "/target" }).end();
      else if (url === "/gzip") response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("unpacked"));
      else if (url === "/chunked") response.write("a".repeat(700), () => response.end("b".repeat(700)));
      else if (url === "/stall") response.writeHead(200, { "content-length": "10" }).write("half");
      else if (url === "/empty") response.writeHead(204).end();
      else response.end(`${request.method} ${url} ${request.headers["x-test"] ?? ""}`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function requestTo(path: string, more: Partial<TransportRequest> = {}): TransportRequest {
  return {
    method: "POST",
    origin,
    path,
    headers: [["x-test", "yes"]],
    body: new TextEncoder().encode("body"),
    maxResponseBytes: 1000,
    signal: new AbortController().signal,
    exchange: undefined,
    phase: "headers",
    onDispatch: () => {},
    ...more,
  };
}

describe.each(all.map((platform) => [platform.name, platform] as const))("platform %s", (name, platform) => {
  test("reports the capabilities of the runtime", () => {
    expect(platform.signer === undefined).toBe(name === "browser");
    expect(platform.connectionCount).toBe(name === "browser" || name === "workerd" ? 6 : 100);
  });

  test("hashes like node:crypto, or explains why it cannot", async () => {
    if (name === "browser") {
      expect(() => platform.md5([])).toThrow(/browsers: they cover the Date header/);
      expect(() => platform.hmacSha1("key", "text")).toThrow(expect.objectContaining({ code: "ERR_EAS_UNSUPPORTED" }));
      return;
    }
    const bytes = randomBytes(5000);
    // MD5 is an extension of workerd's WebCrypto, which Node's does not have.
    if (name !== "workerd") {
      for (const ends of [[], [0], [7, 7, 64], [1, 64, 5000]]) {
        const pieces = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
        expect(await platform.md5(pieces)).toBe(createHash("md5").update(Buffer.concat(pieces)).digest("hex"));
      }
    }
    expect(await platform.hmacSha1("kéy-你", "text\nmore")).toBe(
      createHmac("sha1", "kéy-你").update("text\nmore").digest("base64"),
    );
  });

  test("compresses and decompresses, with a limit", async () => {
    const bytes = new Uint8Array(100_000).map((_, i) => i % 7);
    expect(new Uint8Array(gunzipSync(await platform.deflate("gzip", bytes)))).toEqual(bytes);
    expect(new Uint8Array(inflateSync(await platform.deflate("zlib", bytes)))).toEqual(bytes);
    expect(await platform.inflate("gzip", gzipSync(bytes), bytes.length)).toEqual(bytes);
    expect(await platform.inflate("zlib", deflateSync(bytes), bytes.length)).toEqual(bytes);
    await expect(platform.inflate("gzip", gzipSync(new Uint8Array(10_000_000)), 1_000_000)).rejects.toThrow(RangeError);
    await expect(platform.inflate("gzip", new Uint8Array([1, 2, 3]), 1000)).rejects.toThrow();
    await expect(platform.inflate("gzip", gzipSync(bytes).subarray(0, 50), 1_000_000)).rejects.toThrow();
  });

  test("reads the environment, if there is one", () => {
    vi.stubEnv("EAS_TEST_VARIABLE", "value");
    expect(platform.env("EAS_TEST_VARIABLE")).toBe(name !== "browser" ? "value" : undefined);
    expect(platform.env("EAS_TEST_NOTHING")).toBeUndefined();
    vi.unstubAllEnvs();
  });

  test("sends requests", async () => {
    const transport = platform.createTransport({ connections: 2 });
    const response = await transport.send(requestTo("/path?q=1"));
    expect(response.status).toBe(200);
    expect(new TextDecoder().decode(response.body)).toBe("POST /path?q=1 yes");
    await transport.close();
  });
});

test("portable MD5 without node:crypto", async () => {
  const { getBuiltinModule } = process;
  try {
    Object.assign(process, { getBuiltinModule: undefined });
    expect(await web.md5([new TextEncoder().encode("2"), new TextEncoder().encode("7")])).toBe(
      "02e74f10e0327ad868d138f2b4fdd6f0",
    );
  } finally {
    Object.assign(process, { getBuiltinModule });
  }
});

describe.each([
  ["nodeTransport", () => nodeTransport({ connections: 3 })],
  ["fetchTransport", () => fetchTransport()],
])("%s", (name, make) => {
  test("returns redirects without following them", async () => {
    const response = await make().send(requestTo("/redirect"));
    expect([response.status, response.headers.get("location")]).toEqual([302, "/target"]);
  });

  test("reports the remaining content coding", async () => {
    const { body, contentEncoding } = await make().send(requestTo("/gzip"));
    if (name === "fetchTransport") {
      expect([contentEncoding, new TextDecoder().decode(body)]).toEqual([undefined, "unpacked"]);
    } else {
      expect([contentEncoding, gunzipSync(body).toString()]).toEqual(["gzip", "unpacked"]);
    }
  });

  test("stops at the limit, with and without a length", async () => {
    await expect(make().send(requestTo("/x", { maxResponseBytes: 5 }))).rejects.toMatchObject({ final: true });
    await expect(make().send(requestTo("/chunked"))).rejects.toMatchObject({ systemCode: "ERR_RESPONSE_TOO_LARGE" });
    const { body } = await make().send(requestTo("/chunked", { maxResponseBytes: 1400 }));
    expect(body.length).toBe(1400);
  });

  test("returns an empty body if there is none", async () => {
    const { status, body } = await make().send(requestTo("/empty"));
    expect([status, body.length]).toEqual([204, 0]);
  });

  test("reports that nothing was sent if the port is closed", async () => {
    const gone = createServer();
    await new Promise<void>((resolve) => gone.listen(0, "127.0.0.1", resolve));
    const { port } = gone.address() as AddressInfo;
    await new Promise((resolve) => gone.close(resolve));
    const closed = requestTo("/x", { origin: `http://127.0.0.1:${port}` });
    await expect(make().send(closed)).rejects.toMatchObject({ sent: "no", systemCode: "ECONNREFUSED" });
  });

  test("returns a body that belongs to the receiver", async () => {
    const { body } = await make().send(requestTo("/x"));
    expect([body.byteOffset, body.buffer.byteLength]).toEqual([0, body.length]);
  });
});

test("nodeTransport uses its proxy and trusts its certificate authority", async () => {
  const seen: string[] = [];
  const proxy = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.end("from the proxy");
  });
  proxy.on("connect", (request, socket) => {
    seen.push(`CONNECT ${request.url}`);
    socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const { port } = proxy.address() as AddressInfo;
  const transport = nodeTransport({ proxy: `http://127.0.0.1:${port}` });
  const client = new PredictClient({ endpoint: "https://eas.invalid", serviceName: "s", retryCount: 0, transport });
  await expect(client.predict("x")).rejects.toMatchObject({ code: "ERR_EAS_NETWORK" });
  expect(seen).toEqual(["CONNECT eas.invalid:443"]);
  await transport.close();
  proxy.closeAllConnections();
  proxy.close();
});
