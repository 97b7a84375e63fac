const eas = require("eas-prediction");
const { casesOf, EMULATOR, inMemory, retriesAndWatches, timesOut } = require("../cases.cjs");

const { isJsdom } = globalThis;
const emulatorModule = isJsdom ? require("eas-prediction/emulator/memory") : require("eas-prediction/emulator");

let running;
beforeAll(async () => {
  if (!isJsdom) running = await emulatorModule.startEmulator(EMULATOR);
});
afterAll(() => running?.close());

test("the environment is the one that was asked for", () => {
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

  test("setTimeout alone: a call without an answer times out", async () => {
    jest.useFakeTimers({ doNotFake: ["performance", "setImmediate", "nextTick", "queueMicrotask", "Date"] });
    await timesOut({ eas, advance: (milliseconds) => jest.advanceTimersByTime(milliseconds) });
  });

  test("all: a call without an answer times out", async () => {
    jest.useFakeTimers();
    await timesOut({ eas, advance: (milliseconds) => jest.advanceTimersByTimeAsync(milliseconds) });
  });

  test("all: a retry and a watch", async () => {
    jest.useFakeTimers();
    const advance = (milliseconds) => jest.advanceTimersByTimeAsync(milliseconds);
    await retriesAndWatches({ eas, emulatorModule, advance });
  });
});
