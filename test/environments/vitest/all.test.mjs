import * as eas from "eas-prediction";
import * as emulatorModule from "eas-prediction/emulator";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { casesOf, EMULATOR, inMemory, retriesAndWatches, timesOut } from "../cases.cjs";

let running;
beforeAll(async () => {
  running = await emulatorModule.startEmulator(EMULATOR);
});
afterAll(() => running.close());

test("runs in the requested environment", () => {
  expect(typeof document === "object").toBe(process.env.EAS_ENVIRONMENT !== "node");
});

describe("in memory", () => {
  const cases = casesOf({ eas, connect: inMemory(emulatorModule) });
  for (const [name, run] of Object.entries(cases)) test(name, run);
});

describe("over HTTP", () => {
  const cases = casesOf({ eas, connect: () => ({ endpoint: running.endpoint, token: running.token }) });
  for (const [name, run] of Object.entries(cases)) test(name, run);
});

describe("fake timers", () => {
  afterEach(() => vi.useRealTimers());

  test("times out a call without a response, with only setTimeout faked", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await timesOut({ eas, advance: (milliseconds) => vi.advanceTimersByTime(milliseconds) });
  });

  test("times out a call without a response, with all timers faked", async () => {
    vi.useFakeTimers();
    await timesOut({ eas, advance: (milliseconds) => vi.advanceTimersByTimeAsync(milliseconds) });
  });

  test("retries a call and watches a queue, with all timers faked", async () => {
    vi.useFakeTimers();
    const advance = (milliseconds) => vi.advanceTimersByTimeAsync(milliseconds);
    await retriesAndWatches({ eas, emulatorModule, advance });
  });
});
