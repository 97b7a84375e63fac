import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { platform } from "../../../src/platform/node/platform.js";
import { decompressionStream, inflate } from "../../../src/platform/web/compression.js";
import { clientOf, errorOf, startServer } from "../../support/calls.js";
import { answer } from "../../support/misbehaving-server.js";

const TEXT = "学而时习之，不亦说乎。".repeat(2_000);

const BODIES: [encoding: string, body: Buffer][] = [
  ["deflate", deflateSync(TEXT)],
  ["deflate", deflateRawSync(TEXT)],
  ["deflate", deflateRawSync(TEXT, { level: 0 })],
  ["Deflate, identity", deflateRawSync(TEXT)],
  ["gzip, deflate", deflateRawSync(gzipSync(TEXT))],
  ["deflate, gzip", gzipSync(deflateRawSync(TEXT))],
  ["br", brotliCompressSync(TEXT)],
  ["br, gzip", gzipSync(brotliCompressSync(TEXT))],
  ["UTF-8", Buffer.from(TEXT)],
  ["none", Buffer.from(TEXT)],
  ["binary, gzip, utf8", gzipSync(TEXT)],
];

describe.each(BODIES)("Content-Encoding: %s", (encoding, body) => {
  test("predict, stream and fetch read the same text", async () => {
    const server = await startServer();
    server.always(answer(200, { "Content-Encoding": encoding }, body));
    const client = clientOf(server);
    expect(String(await client.predict("x"))).toBe(TEXT);
    expect(await (await client.stream("x")).text()).toBe(TEXT);
    expect(await (await client.fetch("/x")).text()).toBe(TEXT);
  });
});

test.each(["compress", "x-compress", "zstd", "dcb", "dcz", "exi", "pack200-gzip", "aes128gcm"])(
  "%s is refused by name",
  async (encoding) => {
    const server = await startServer();
    server.always(answer(200, { "Content-Encoding": encoding }, "xyz"));
    const client = clientOf(server);
    expect(await errorOf(client.predict("x"))).toMatchObject({ code: "ERR_EAS_DECODE", format: "content-encoding" });
    const error = await errorOf(client.stream("x").then((stream) => stream.bytes()));
    expect(error.message).toContain(`Content-Encoding "${encoding}"`);
  },
);

test("a runtime with DecompressionStream alone reads raw deflate as well", async () => {
  expect(new TextDecoder().decode(await inflate("raw", deflateRawSync(TEXT), 1_000_000))).toBe(TEXT);
  await expect(inflate("raw", deflateRawSync(TEXT), 100)).rejects.toThrow(RangeError);
});

test("a runtime without a stream for br refuses it by name", async () => {
  class OldStream {
    constructor(format: string) {
      throw new TypeError(`Unsupported compression format: ${format}`);
    }
  }
  const { inflate: own, decompressor } = platform;
  vi.stubGlobal("DecompressionStream", OldStream);
  Object.assign(platform, { inflate, decompressor: decompressionStream });
  onTestFinished(() => {
    vi.unstubAllGlobals();
    Object.assign(platform, { inflate: own, decompressor });
  });
  const server = await startServer();
  server.always(answer(200, { "Content-Encoding": "br" }, brotliCompressSync(TEXT)));
  const client = clientOf(server);
  for (const call of [client.predict("x"), client.stream("x").then((stream) => stream.bytes())]) {
    const error = await errorOf(call);
    expect(error).toMatchObject({ code: "ERR_EAS_DECODE", format: "content-encoding" });
    expect(error.message).toContain('"br", which is not supported: br needs DecompressionStream("brotli")');
  }
});
