import * as eas from "eas-prediction";
import * as emulatorModule from "eas-prediction/emulator";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { casesOf, EMULATOR, inMemory, retriesAndWatches, timesOut } from "../cases.cjs";

let running;
beforeAll(async () => {
  running = await emulatorModule.startEmulator(EMULATOR);
});
afterAll(() => running.close());

test("the environment is the one that was asked for", () => {
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

  test("setTimeout alone: a call without an answer times out", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await timesOut({ eas, advance: (milliseconds) => vi.advanceTimersByTime(milliseconds) });
  });

  test("all: a call without an answer times out", async () => {
    vi.useFakeTimers();
    await timesOut({ eas, advance: (milliseconds) => vi.advanceTimersByTimeAsync(milliseconds) });
  });

  test("all: a retry and a watch", async () => {
    vi.useFakeTimers();
    const advance = (milliseconds) => vi.advanceTimersByTimeAsync(milliseconds);
    await retriesAndWatches({ eas, emulatorModule, advance });
  });
});
