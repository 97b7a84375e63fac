import { describe, expect, onTestFinished, test } from "vitest";
import { startEmulator } from "../../../../src/emulator/index.js";
import { AsyncInferenceClient, PredictClient, run } from "../../../../src/index.js";
import { createRelay, type RelayRule } from "../../../../src/relay/index.js";
import { errorOf } from "../../../support/calls.js";

const SINK: RelayRule = { paths: ["/images/sink"], operations: ["result"] };

/** Opens the client of a page, which calls a service through a relay with these rules. */
async function open(allow: readonly RelayRule[]) {
  const emulator = await startEmulator({ queues: { "team.q": { service: ({ body }) => body } } });
  const server = new PredictClient({ endpoint: emulator.endpoint, serviceName: "team.q", token: emulator.token });
  onTestFinished(async () => {
    await server.close();
    await emulator.close();
  });
  const relay = createRelay({ services: { images: server }, allow });
  let losesResponses = false;
  const fetch = async (url: string | URL | Request, init?: RequestInit) => {
    const response = await relay(new Request(url, init));
    if (losesResponses && init?.method === "POST") throw new TypeError("the connection broke");
    return response;
  };
  const page = new AsyncInferenceClient({
    endpoint: "https://my.site",
    serviceName: "images",
    fetch: fetch as never,
    logger: null,
  });
  onTestFinished(() => page.close());
  const { input, sink } = emulator.queue("team.q")!;
  const loseResponses = () => {
    losesResponses = true;
  };
  return { page, input, sink, loseResponses };
}

describe("run() through a relay", () => {
  test("needs put on the input queue and result on the sink", async () => {
    const { page, input, sink } = await open([{ paths: ["/images"], operations: ["put"] }, SINK]);
    const store = new Map<string, string>();
    const result = await run(page, { prompt: "a cat" }, { store, key: "k" });
    expect(result.json()).toEqual({ prompt: "a cat" });
    expect([input.pushes.length, sink.length, store.size]).toEqual([1, 0, 0]);
  });

  test("needs result on the input queue to find a job whose submission had no response", async () => {
    const { page, input, sink, loseResponses } = await open([
      { paths: ["/images"], operations: ["put", "result"] },
      SINK,
    ]);
    loseResponses();
    const result = await run(page, "a cat", { store: new Map(), key: "k" });
    expect(String(result)).toBe("a cat");
    expect([input.pushes.length, sink.length]).toEqual([1, 0]);
  });

  test("keeps the handle if the relay does not allow that search", async () => {
    const { page, input, loseResponses } = await open([{ paths: ["/images"], operations: ["put"] }, SINK]);
    loseResponses();
    const store = new Map<string, string>();
    expect(await errorOf(run(page, "a cat", { store, key: "k" }))).toMatchObject({ status: 403 });
    expect([input.pushes.length, store.size]).toEqual([1, 1]);
  });

  test("reports states if the relay allows search in the group of the service", async () => {
    const { page } = await open([{ paths: ["/images"], operations: ["put", "search"], gid: "team.q" }, SINK]);
    const job = await page.submit("a cat");
    const states: string[] = [];
    for await (const { state } of job.status()) states.push(state);
    expect(states.at(-1)).toBe("done");
    expect((await job.result()).text()).toBe("a cat");
  });
});
