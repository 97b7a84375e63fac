import { getEventListeners } from "node:events";
import { describe, expect, onTestFinished, test } from "vitest";
import { type EmulatorHandler, startEmulator } from "../../../../src/emulator/index.js";
import { AsyncInferenceClient, type AsyncInferenceClientOptions } from "../../../../src/index.js";
import { errorOf, turn, until, watch } from "../../../support/calls.js";
import { type ProxyVerdict, startFaultProxy } from "../../../support/fault-proxy.js";

const echo: EmulatorHandler = ({ body }) => `<${new TextDecoder().decode(body)}>`;

/** Starts an asynchronous service behind a proxy, which applies `verdict` to deletions of results. */
async function start(verdict: ProxyVerdict, options: Partial<AsyncInferenceClientOptions> = {}, service = echo) {
  const emulator = await startEmulator({ token: "t", queues: { q: { service } } });
  onTestFinished(() => emulator.close());
  const proxy = await startFaultProxy(emulator.endpoint, ({ operation }) =>
    operation === "delete" ? verdict : "pass",
  );
  const warnings: string[] = [];
  const logger = { warn: (message: string) => void warnings.push(message) };
  const client = new AsyncInferenceClient({
    endpoint: proxy.endpoint,
    serviceName: "q",
    token: "t",
    logger,
    ...options,
  });
  onTestFinished(() => client.close({ force: true }));
  const { sink } = emulator.queue("q")!;
  return { client, proxy, sink, warnings };
}

describe("a result whose deletion hangs", () => {
  test("is returned when the signal fires", async () => {
    const { client, proxy, sink } = await start("hang");
    const job = await client.submit("a");
    const controller = new AbortController();
    const watched = watch(job.result({ signal: controller.signal }));
    await until(() => proxy.of("delete").length === 1);
    controller.abort(new Error("mine"));
    await turn();
    expect(watched.state).toBe("resolved");
    expect((watched.value as { text(): string }).text()).toBe("<a>");
    // The first attempt to delete is still pending, so the result waited for neither its timeout nor its retries.
    expect(proxy.of("delete")).toHaveLength(1);
    expect(sink.length).toBe(1);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  test("is returned at the deadline", async () => {
    const { client, proxy, sink } = await start("hang");
    const job = await client.submit("a");
    await until(() => sink.length === 1);
    const result = job.result({ timeout: 800 });
    await until(() => proxy.of("delete").length === 1);
    // Timers fire in the order of their deadlines, even on a busy machine. Without a deadline, this timer fires first.
    const later = new Promise((resolve) => setTimeout(resolve, 900, "later"));
    expect(await Promise.race([result.then((frame) => frame.text()), later])).toBe("<a>");
  });

  test("is returned without a deadline", async () => {
    const { client, proxy } = await start("hang");
    const job = await client.submit("a");
    expect((await job.result()).text()).toBe("<a>");
    // The attempt would time out after 5 s, and would be followed by five retries.
    expect(proxy.of("delete")).toHaveLength(1);
  });

  test("is deleted in the background when the service answers later", async () => {
    const { client, proxy, sink, warnings } = await start("hang", { timeout: 1_500 });
    const job = await client.submit("a");
    expect((await job.result({ timeout: 1_000 })).text()).toBe("<a>");
    proxy.decide(() => "pass");
    await until(() => sink.length === 0);
    expect(warnings).toEqual([]);
  });

  test("does not delay a forced close of the client", async () => {
    const { client, proxy, warnings } = await start("hang");
    const job = await client.submit("a");
    const result = job.result();
    await until(() => proxy.of("delete").length === 1);
    await client.close({ force: true });
    expect((await result).text()).toBe("<a>");
    expect(warnings).toHaveLength(1);
  });
});

describe("a result that cannot be deleted", () => {
  test.each<[ProxyVerdict, string]>([
    [500, "500"],
    ["reset", ""],
  ])("is returned, and the failure is logged once (%s)", async (verdict, detail) => {
    const { client, sink, warnings } = await start(verdict, { retryCount: 0 });
    const job = await client.submit("a");
    expect((await job.result({ timeout: 60_000 })).text()).toBe("<a>");
    await until(() => warnings.length === 1);
    expect(warnings[0]).toContain(`the result of job ${job.tag} could not be deleted and stays in the output queue`);
    expect(warnings[0]).toContain(detail);
    expect(sink.length).toBe(1);
  });

  test("is not lost with a logger that throws", async () => {
    const logger = {
      warn: () => {
        throw new Error("the logger failed");
      },
    };
    const { client } = await start(500, { retryCount: 0, logger });
    expect((await (await client.submit("a")).result()).text()).toBe("<a>");
  });
});

describe("lastCode", () => {
  test.each(["200", "201", "204", "299"])("%s resolves with the result", async (lastCode) => {
    const { client, sink } = await start("pass");
    const job = await client.submit("a", { tags: { lastCode } });
    expect((await job.result()).tags.lastCode).toBe(lastCode);
    expect(sink.length).toBe(0);
  });

  test.each(["199", "300", "400", "500", "20", "2000", "2xx"])("%s rejects with an EasModelError", async (lastCode) => {
    const { client } = await start("pass");
    const job = await client.submit("a", { tags: { lastCode } });
    expect(await errorOf(job.result())).toMatchObject({
      name: "EasModelError",
      message: `the model responded with ${lastCode}: <a>`,
    });
  });
});
