import { after, afterEach, before, describe, mock, test } from "node:test";
import * as eas from "eas-prediction";
import * as emulatorModule from "eas-prediction/emulator";
import { casesOf, EMULATOR, inMemory, retriesAndWatches, timesOut } from "../cases.cjs";

let running;
before(async () => {
  running = await emulatorModule.startEmulator(EMULATOR);
});
after(() => running.close());

describe("in memory", () => {
  for (const [name, run] of Object.entries(casesOf({ eas, connect: inMemory(emulatorModule) }))) test(name, run);
});

describe("over HTTP", () => {
  const cases = casesOf({ eas, connect: () => ({ endpoint: running.endpoint, token: running.token }) });
  for (const [name, run] of Object.entries(cases)) test(name, run);
});

describe("mock timers", () => {
  const advance = (milliseconds) => mock.timers.tick(milliseconds);
  afterEach(() => mock.timers.reset());

  test("times out a call without a response, with only setTimeout faked", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    await timesOut({ eas, advance });
  });

  test("retries a call and watches a queue, with setTimeout, setInterval and Date faked", async () => {
    mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
    await retriesAndWatches({ eas, emulatorModule, advance });
  });
});
