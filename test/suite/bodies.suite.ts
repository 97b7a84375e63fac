import { type CompressionCodec, StringRequest } from "eas-prediction";
import { lz4Frame } from "eas-prediction/compression/lz4";
import { snappy } from "eas-prediction/compression/snappy";
import { zstd } from "eas-prediction/compression/zstd";
import { openService } from "./clients.js";
import { expect, expectError, rejection } from "./expect.js";
import { test, testAbsence } from "./harness.js";

const TEXT = '{"特征": [0, 1, 2]}'.repeat(2000);

test("large", "sends and receives 16 MiB unchanged", async (test) => {
  const { client } = await openService(test, "echo", { timeout: 60_000 });
  const sent = new Uint8Array(16 * 1024 * 1024);
  // All blocks differ, so that a lost, duplicated or misplaced block is noticed.
  const words = new Uint32Array(sent.buffer);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 2654435761);
  const answer = await client.predict(sent);
  expect(answer.length).to.equal(sent.length);
  const received = new Uint32Array(answer.buffer, answer.byteOffset, words.length);
  expect(words.findIndex((word, i) => received[i] !== word)).to.equal(-1);
});

test("large", "rejects a response over maxResponseBytes and continues to work", async (test) => {
  const { client } = await openService(test, "echo", { maxResponseBytes: 1000 });
  expectError(await rejection(client.predict("0".repeat(100_000))), { name: "EasDecodeError" });
  expect(String(await client.predict("small"))).to.equal("small");
});

test("large", "rejects a body over maxRequestBytes before anything is sent", async (test) => {
  const { client, requests } = await openService(test, "echo", { maxRequestBytes: 1000 });
  expectError(await rejection(client.predict("0".repeat(1001))), { code: "ERR_EAS_ARG_BODY_SIZE" });
  expect(await requests()).to.have.length(0);
});

for (const compression of ["gzip", "zlib"] as const) {
  test("gzip", `sends smaller ${compression} requests that the service reads`, async (test) => {
    const { client, requests } = await openService(test, compression, { compression });
    expect(String(await client.predict(TEXT))).to.equal(TEXT);
    expect((await requests())[0]?.length).to.be.lessThan(TEXT.length / 10);
  });

  testAbsence("gzip", `a ${compression} request is refused in words`, async (test) => {
    const { client, requests } = await openService(test, "echo", { compression });
    const error = await rejection(client.predict(TEXT));
    expectError(error, { name: "EasUnsupportedError", code: "ERR_EAS_UNSUPPORTED" });
    expect(error.message).to.include("CompressionStream");
    expect(await requests()).to.have.length(0);
  });
}

for (const kind of ["answers-gzip", "answers-deflate"]) {
  test("answers", `decompresses ${kind}`, async (test) => {
    const { client } = await openService(test, kind);
    expect(String(await client.predict(TEXT))).to.equal(TEXT);
  });
}

test("answers", "stops a gzip bomb at maxResponseBytes", async (test) => {
  const { client } = await openService(test, "bomb", { maxResponseBytes: 100_000 });
  expectError(await rejection(client.predict("x")), { name: "EasDecodeError" });
});

function testCodec(feature: "codecs" | "zstd", codec: CompressionCodec): void {
  test(feature, `sends and receives ${codec.name}`, async (test) => {
    const { client, requests } = await openService(test, codec.name, { decompression: [codec] });
    const answer = await client.predict(new StringRequest(TEXT, { compression: codec }));
    expect(String(answer)).to.equal(TEXT);
    expect((await requests())[0]?.length).to.be.lessThan(TEXT.length / 5);
  });
}
testCodec("codecs", snappy);
testCodec("codecs", lz4Frame);
testCodec("zstd", zstd);

testAbsence("zstd", "is refused in words", async (test) => {
  const { client, requests } = await openService(test, "echo");
  const error = await rejection(client.predict(new StringRequest(TEXT, { compression: zstd })));
  expectError(error, { name: "EasUnsupportedError", code: "ERR_EAS_UNSUPPORTED" });
  expect(error.message).to.include("WebAssembly");
  expect(await requests()).to.have.length(0);
});
