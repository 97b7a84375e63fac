const eas = require("eas-prediction");
const { casesOf, EMULATOR, inMemory, retriesAndWatches, timesOut } = require("../cases.cjs");

const { isJsdom } = globalThis;
const emulatorModule = isJsdom ? require("eas-prediction/emulator/memory") : require("eas-prediction/emulator");

let running;
beforeAll(async () => {
  if (!isJsdom) running = await emulatorModule.startEmulator(EMULATOR);
});
afterAll(() => running?.close());

test("runs in the requested environment", () => {
  expect(typeof document === "object").toBe(isJsdom);
});

describe("in memory", () => {
  for (const [name, run] of Object.entries(casesOf({ eas, connect: inMemory(emulatorModule) }))) test(name, run);
});

describe("over HTTP", () => {
  const { EAS_EMULATOR_ENDPOINT, EAS_EMULATOR_TOKEN } = process.env;
  const connect = () => ({
    endpoint: running?.endpoint ?? EAS_EMULATOR_ENDPOINT,
    token: running?.token ?? EAS_EMULATOR_TOKEN,
  });
  for (const [name, run] of Object.entries(casesOf({ eas, connect }))) test(name, run);
});

describe("fake timers", () => {
  afterEach(() => jest.useRealTimers());

  test("times out a call without a response, with only setTimeout faked", async () => {
    jest.useFakeTimers({ doNotFake: ["performance", "setImmediate", "nextTick", "queueMicrotask", "Date"] });
    await timesOut({ eas, advance: (milliseconds) => jest.advanceTimersByTime(milliseconds) });
  });

  test("times out a call without a response, with all timers faked", async () => {
    jest.useFakeTimers();
    await timesOut({ eas, advance: (milliseconds) => jest.advanceTimersByTimeAsync(milliseconds) });
  });

  test("retries a call and watches a queue, with all timers faked", async () => {
    jest.useFakeTimers();
    const advance = (milliseconds) => jest.advanceTimersByTimeAsync(milliseconds);
    await retriesAndWatches({ eas, emulatorModule, advance });
  });
});
