import { describe, expect, onTestFinished, test } from "vitest";
import { createEmulator, type EmulatorHandler } from "../../../../src/emulator/index.js";
import { AsyncInferenceClient, type JobStatus } from "../../../../src/index.js";
import { collect, errorOf, transportAnswer, until } from "../../../support/calls.js";

/** Opens a client for a service whose calls stay pending until the test answers them. */
function open({ searches: status = 200 } = {}) {
  const answers: (() => void)[] = [];
  const service: EmulatorHandler = () => new Promise((resolve) => answers.push(() => resolve("done")));
  const emulator = createEmulator({ token: "t", queues: { q: { service } } });
  const warnings: string[] = [];
  const client = new AsyncInferenceClient({
    endpoint: "http://emulator",
    serviceName: "q",
    token: "t",
    transport: {
      send: async (request) => {
        if (status !== 200 && request.path.includes("_search_")) return transportAnswer(status);
        return emulator.transport.send(request);
      },
      close: async () => {},
    },
    retryCount: 0,
    logger: { warn: (message) => void warnings.push(message) },
  });
  onTestFinished(() => client.close());
  const searches = () => emulator.requests.filter(({ url }) => url.includes("_search_"));
  return { answers, client, emulator, searches, warnings };
}

describe("status()", () => {
  test("yields the states of a job when they change", async () => {
    const { answers, client } = open();
    const [first, second] = [await client.submit("a"), await client.submit("b")];
    await until(() => answers.length === 1);
    const seen: JobStatus[] = [];
    for await (const status of second.status()) {
      seen.push(status);
      if (status.state === "waiting") {
        answers[0]?.();
        await first.result();
        await until(() => answers.length === 2);
      } else answers[1]?.();
    }
    expect(seen).toEqual([{ state: "waiting", ahead: 0 }, { state: "running" }, { state: "done" }]);
    expect((await second.result()).text()).toBe("done");
  });

  test("yields nothing while the state stays the same", async () => {
    const { answers, client, searches } = open();
    const job = await client.submit("a");
    await until(() => answers.length === 1);
    const states = collect(job.status());
    await until(() => searches().length === 3);
    answers[0]?.();
    expect(await states).toEqual([{ state: "running" }, { state: "done" }]);
  });

  test("ends when its signal fires, and when the client is closed", async () => {
    const { answers, client, searches } = open();
    const job = await client.submit("a");
    await until(() => answers.length === 1);
    const controller = new AbortController();
    const aborted = errorOf(collect(job.status({ signal: controller.signal })));
    const closed = errorOf(collect(job.status()));
    await until(() => searches().length === 2);
    const reason = new Error("mine");
    controller.abort(reason);
    expect(await aborted).toBe(reason);
    await client.close();
    expect(await closed).toMatchObject({ code: "ERR_EAS_CLOSED" });
  });

  test("refuses unknown options", async () => {
    const { client } = open();
    const job = await client.submit("a");
    expect(await errorOf(collect(job.status({ interval: 1 } as object)))).toMatchObject({ code: "ERR_EAS_ARG_OPTION" });
  });
});

describe("onStatus", () => {
  test("receives each state once, and done with the result", async () => {
    const { answers, client } = open();
    const job = await client.submit("a");
    await until(() => answers.length === 1);
    const seen: string[] = [];
    const frame = await job.result({
      onStatus: ({ state }) => {
        seen.push(state);
        answers[0]?.();
      },
    });
    expect(frame.text()).toBe("done");
    expect(seen).toEqual(["running", "done"]);
  });

  test.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("broken");
      },
    ],
    ["rejects", () => Promise.reject(new Error("broken"))],
  ])("does not affect the result if it %s", async (_, onStatus) => {
    const { answers, client, warnings } = open();
    const job = await client.submit("a");
    const result = job.result({ onStatus });
    await until(() => answers.length === 1 && warnings.length === 1);
    answers[0]?.();
    expect((await result).text()).toBe("done");
    expect(warnings[0]).toBe(`eas-prediction: job ${job.tag}: onStatus failed: broken`);
  });

  test("does not affect the result if the state cannot be read", async () => {
    const { answers, client, warnings } = open({ searches: 403 });
    const job = await client.submit("a");
    await until(() => answers.length === 1);
    const seen: string[] = [];
    const result = job.result({ onStatus: ({ state }) => void seen.push(state) });
    await until(() => warnings.length === 1);
    answers[0]?.();
    expect((await result).text()).toBe("done");
    expect(seen).toEqual(["done"]);
    expect(warnings[0]).toContain(`job ${job.tag}: the state could not be read: `);
  });

  test("must be a function", async () => {
    const { client } = open();
    const job = await client.submit("a");
    expect(await errorOf(job.result({ onStatus: 1 as never }))).toMatchObject({ code: "ERR_EAS_ARG_OPTION" });
  });
});
