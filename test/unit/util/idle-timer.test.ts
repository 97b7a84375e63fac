import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { IdleTimer } from "../../../src/util/timing/idle-timer.js";

afterEach(() => void vi.useRealTimers());

const LIMIT = 80;

/** Blocks the event loop. */
function block(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

async function socketPair(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const near = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [far] = (await once(server, "connection")) as [Socket];
  onTestFinished(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return { near, far };
}

test("reports silence after the limit, and restarts the limit at each touch()", async () => {
  vi.useFakeTimers();
  const onIdle = vi.fn();
  const timer = new IdleTimer(8_000, onIdle);
  timer.start();
  await vi.advanceTimersByTimeAsync(7_900);
  timer.touch();
  await vi.advanceTimersByTimeAsync(7_900);
  expect(onIdle).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(200);
  expect(onIdle).toHaveBeenCalledTimes(1);
  expect(vi.getTimerCount()).toBe(0);
});

test("reads waiting data after the event loop was blocked before it reports silence", async () => {
  const { near, far } = await socketPair();
  const onIdle = vi.fn();
  const timer = new IdleTimer(LIMIT, onIdle);
  onTestFinished(() => timer.stop());
  for (let round = 0; round < 3; round++) {
    const read = once(near, "data").then(() => {
      timer.touch();
      return onIdle.mock.calls.length;
    });
    timer.start();
    // The data waits in the kernel's buffer while the event loop is blocked.
    await new Promise<void>((resolve) => far.write("pong", () => resolve()));
    block(3 * LIMIT);
    expect(await read).toBe(0);
    timer.stop();
  }
  expect(onIdle).not.toHaveBeenCalled();
});

test("does not count time in which the event loop was blocked, so that a ping sent after it can be answered", async () => {
  const { near, far } = await socketPair();
  far.on("data", () => far.write("pong"));
  const onIdle = vi.fn();
  const timer = new IdleTimer(1_000, onIdle);
  onTestFinished(() => timer.stop());
  timer.start();
  // No ping was sent, so no data waits to be read.
  block(1_500);
  await new Promise((resolve) => setTimeout(resolve));
  near.write("ping");
  await once(near, "data");
  expect(onIdle).not.toHaveBeenCalled();
});

test("reports a dead connection although the event loop is blocked repeatedly", async () => {
  const onIdle = vi.fn();
  const timer = new IdleTimer(LIMIT, onIdle);
  onTestFinished(() => timer.stop());
  timer.start();
  await vi.waitFor(
    () => {
      block(2 * LIMIT);
      expect(onIdle).toHaveBeenCalledTimes(1);
    },
    { timeout: 20_000, interval: 1 },
  );
});
