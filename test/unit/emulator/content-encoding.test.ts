import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { lz4 } from "../../../src/compression/lz4.js";
import { snappy } from "../../../src/compression/snappy.js";
import { zstd } from "../../../src/compression/zstd.js";
import { createEmulator, type EmulatorService, startEmulator } from "../../../src/emulator/index.js";
import { type Compression, PredictClient, type PredictClientOptions } from "../../../src/index.js";
import { errorOf } from "../../support/calls.js";

const TOKEN = "t0ken-1234";
const handle: EmulatorService["handle"] = ({ body }) => `got ${new TextDecoder().decode(body)}`;

/** Creates a client of a service whose emulator listens on a socket. */
async function clientOf(service: Partial<EmulatorService>, options: PredictClientOptions = {}) {
  const emulator = await startEmulator({ port: 0, token: TOKEN, services: { svc: { handle, ...service } } });
  const client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "svc", token: TOKEN, ...options });
  onTestFinished(async () => void (await Promise.all([client.close(), emulator.close()])));
  return client;
}

describe("Content-Encoding of requests", () => {
  test.each<[Compression]>([["gzip"], ["zlib"], [snappy], [lz4], [zstd]])(
    "decompresses %o for the handler",
    async (compression) => {
      const client = await clientOf({}, { compression, announceCompression: true });
      expect(String(await client.predict({ a: 1 }))).toBe('got {"a":1}');
    },
  );

  test("responds with 415 to an unknown encoding", async () => {
    const client = await clientOf({}, { headers: { "Content-Encoding": "br" } });
    const error = await errorOf(client.predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_HTTP", status: 415 });
    expect(error.message).toMatch(
      /the service does not support this Content-Type or Content-Encoding.*Response: Content-Encoding is "br": the service accepts gzip, deflate, snappy, lz4, zstd$/,
    );
  });

  test("responds with 400 to a body that cannot be decompressed", async () => {
    const client = await clientOf({}, { headers: { "Content-Encoding": "gzip" } });
    expect(await errorOf(client.predict("x"))).toMatchObject({ status: 400 });
  });

  test("can be required by a service, as PMML services do", async () => {
    const service = { contentEncoding: "gzip" } as const;
    const announcing = await clientOf(service, { compression: "gzip", announceCompression: true });
    expect(String(await announcing.predict({ a: 1 }))).toBe('got {"a":1}');
    for (const options of [{}, { compression: "gzip" }, { compression: "zlib", announceCompression: true }] as const) {
      const error = await errorOf((await clientOf(service, options)).predict("x"));
      expect(error).toMatchObject({ status: 415 });
      expect(error.message).toContain('the service accepts "gzip" only');
    }
  });

  test("overrides the service's decompressor", async () => {
    const body = (compress: typeof gzipSync) => new Uint8Array(compress("x"));
    const client = await clientOf({ decompressor: "gzip" });
    const text = async (sent: Uint8Array, headers = {}) =>
      new TextDecoder().decode(await client.predict(sent, { headers }));
    expect(await text(body(gzipSync))).toBe("got x");
    expect(await text(body(gzipSync), { "Content-Encoding": "gzip" })).toBe("got x");
    expect(await text(body(deflateSync), { "Content-Encoding": "deflate" })).toBe("got x");
    expect(await text(body(gzipSync), { "Content-Encoding": "identity" })).toBe("got x");
  });

  test("throws for an invalid contentEncoding", () => {
    expect(() => createEmulator({ services: { svc: { handle, contentEncoding: "br" as never } } })).toThrow(
      'contentEncoding is "br": it must be one of gzip, deflate, snappy, lz4, zstd',
    );
  });
});
