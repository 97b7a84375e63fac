import { createHash } from "node:crypto";
import { Worker } from "node:worker_threads";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { nodeTransport } from "../../../src/node.js";
import { clientOf, errorOf, startServer } from "../../support/calls.js";
import { answer, type SeenRequest } from "../../support/misbehaving-server.js";

const md5Of = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex");
const bytesOf = (length: number, seed: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + seed) % 251);

/** A client that signs with threads, and a transport that this test closes. */
async function startThreads(hashThreads: number) {
  const server = await startServer();
  server.always(answer(200));
  const transport = nodeTransport({ hashThreads });
  onTestFinished(() => transport.close());
  return { server, transport, client: clientOf(server, { transport, auth: "signature" }) };
}

const isTrue = ({ body, headers }: SeenRequest) => headers["content-md5"] === md5Of(body);

describe("hashThreads", () => {
  test("sign bodies of all sizes, also more at once than there are threads", async () => {
    const { server, client } = await startThreads(2);
    const sizes = [0, 1000, 131_071, 131_072, 600_000, 200_000, 1_000_000, 300_000, 131_073];
    await Promise.all(sizes.map((size, i) => client.predict(bytesOf(size, i))));
    expect(server.requests.map(({ body }) => body.length).sort((a, b) => a - b)).toEqual(
      [...sizes].sort((a, b) => a - b),
    );
    expect(server.requests.every(isTrue)).toBe(true);
  });

  test("let the event loop go on while they hash", async () => {
    const { client } = await startThreads(1);
    const hash = vi.spyOn(process.getBuiltinModule("node:crypto"), "hash");
    onTestFinished(() => hash.mockRestore());
    await client.predict(bytesOf(600_000, 1));
    expect(hash).not.toHaveBeenCalled();
    await client.predict(bytesOf(1000, 1));
    expect(hash).toHaveBeenCalledTimes(1);
  });

  test("hash once for all attempts of a call", async () => {
    const { server, client } = await startThreads(1);
    const post = vi.spyOn(Worker.prototype, "postMessage");
    onTestFinished(() => post.mockRestore());
    server.play(answer(503), answer(503), answer(200));
    await client.predict(bytesOf(600_000, 1));
    expect(server.requests.map(isTrue)).toEqual([true, true, true]);
    expect(post).toHaveBeenCalledTimes(1);
  });

  test("that die are replaced, and their bodies hashed all the same", async () => {
    const { server, client } = await startThreads(1);
    const workers: Worker[] = [];
    const { postMessage } = Worker.prototype;
    const post = vi.spyOn(Worker.prototype, "postMessage").mockImplementation(function (this: Worker, message) {
      workers.push(this);
      // The first one dies with its work.
      if (workers.length === 1) void this.terminate();
      else postMessage.call(this, message);
    });
    onTestFinished(() => post.mockRestore());
    await Promise.all([1, 2, 3].map((seed) => client.predict(bytesOf(200_000, seed))));
    expect(server.requests).toHaveLength(3);
    expect(server.requests.every(isTrue)).toBe(true);
    expect(new Set(workers).size).toBe(2);
  });

  test("do not keep a call from its abort", async () => {
    const { server, client } = await startThreads(1);
    const controller = new AbortController();
    const reason = new Error("enough");
    const call = errorOf(client.predict(bytesOf(600_000, 1), { signal: controller.signal }));
    controller.abort(reason);
    expect(await call).toBe(reason);
    expect(server.requests).toHaveLength(0);
  });

  test.each([-1, 1.5, Number.NaN, "2"])("refuse to be %s", (hashThreads) => {
    expect(() => nodeTransport({ hashThreads: hashThreads as number })).toThrow(/hashThreads is .*at least 0/);
  });
});
