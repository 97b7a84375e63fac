import { readFileSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import { type EmulatorHandler, startEmulator } from "../../../src/emulator/index.js";
import { AsyncInferenceClient, PredictClient, QueueClient } from "../../../src/index.js";
import { createRelay, type RelayOperation, type RelayOptions } from "../../../src/relay/index.js";
import { errorOf } from "../../support/calls.js";
import { memoryRelay, refusalOf } from "../../support/relay.js";

/** The value of `allow` in the example of docs/relay.md, verbatim. */
function allowOfExample(heading: string): RelayOptions["allow"] {
  const document = readFileSync(new URL("../../../docs/relay.md", import.meta.url), "utf8");
  const section = document.slice(document.indexOf(`## ${heading}\n`));
  const text = /\n {2}allow: (\[.*\]|\[[\s\S]*?\n {2}\]),\n/.exec(section)?.[1];
  return new Function(`return ${text}`)() as RelayOptions["allow"];
}

const INPUT = "/api/predict/images";
const SINK = `${INPUT}/sink`;

/** The example "Several services, and queues", with a job of another visitor whose result is in the sink. */
async function startExample() {
  const service: EmulatorHandler = ({ body }) => new TextDecoder().decode(body).toUpperCase();
  const emulator = await startEmulator({
    queues: { "team.txt2img-v3": { service, indexShape: "counter" } },
  });
  const client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "scorecard", token: emulator.token });
  onTestFinished(async () => {
    await client.close();
    await emulator.close();
  });
  const relay = createRelay({
    services: { score: client, images: client.service("team.txt2img-v3") },
    allow: allowOfExample("Several services, and queues"),
  });
  const queue = emulator.queue("team.txt2img-v3");
  if (queue === undefined) throw new Error("no queue");
  const fetch = (url: string | URL | Request, init?: RequestInit) => relay(new Request(url, init));
  const page = new AsyncInferenceClient({ endpoint: "https://my.site", serviceName: "images", fetch: fetch as never });
  const other = await page.submit("the other visitor's job");
  // Polls until the service has written its result.
  while (queue.sink.length === 0) await new Promise((go) => setTimeout(go));
  const ask = (method: string, path: string, headers: Record<string, string> = {}, body?: string) =>
    relay(new Request(`https://my.site${path}`, { method, headers, ...(body !== undefined && { body }) }));
  return { emulator, page, other, queue, ask };
}

describe("example of docs/relay.md", () => {
  test("lets a page submit a job, read its result and delete it, but not those of others", async () => {
    const { page, other, queue } = await startExample();
    const job = await page.submit("a cat");
    expect((await job.result()).text()).toBe("A CAT");
    expect(queue.sink.length).toBe(1);
    expect((await other.result()).text()).toBe("THE OTHER VISITOR'S JOB");
    expect(queue.sink.length).toBe(0);
  });

  test("lets a page that has only the job's tag read and delete the result", async () => {
    const { page, other, queue } = await startExample();
    const { index, tag } = other.toJSON();
    const resumed = page.resume({ index, tag });
    expect((await resumed.result()).text()).toBe("THE OTHER VISITOR'S JOB");
    expect(queue.sink.length).toBe(0);
  });

  test.each<[string, string, string, Record<string, string>?, string?]>([
    ["reading the sink", "GET", SINK],
    ["reading the sink from an index", "GET", `${SINK}?_index_=1&_length_=100&_auto_delete_=false`],
    ["an empty request id", "GET", `${SINK}?requestId=&_auto_delete_=false`],
    ["two request ids", "GET", `${SINK}?requestId=&requestId=x`],
    ["the request id as an array", "GET", `${SINK}?requestId[]=x`],
    ["the request id in other case", "GET", `${SINK}?RequestId=x`],
    ["another tag", "GET", `${SINK}?task=1`],
    ["taking", "GET", `${SINK}?_auto_delete_=true`],
    ["watching", "GET", `${SINK}?_watch_=true&_index_=0&_window_=10`],
    ["watching by request id", "GET", `${SINK}?_watch_=true&requestId=x`],
    ["attributes", "GET", `${SINK}?_attrs_=true`],
    ["searching", "GET", `${INPUT}?_search_=true&_index_=1`],
    ["counting", "GET", `${SINK}?_count_=true`],
    ["deleting the result of another", "DELETE", `${SINK}?_indexes_=1,2,3`],
    ["deleting a job of another", "DELETE", `${INPUT}?_indexes_=1,2,3`],
    ["truncating", "DELETE", `${SINK}?_index_=100&_trunc_=true`],
    ["committing", "PUT", `${INPUT}?_indexes_=1`],
    ["a negative commit", "PUT", `${INPUT}?_indexes_=1&_negative_=true`],
    ["ending the input", "POST", `${INPUT}?_eos_=true&_force_=true`, {}, "x"],
    ["ending the input, with another value", "POST", `${INPUT}?_eos_=1`, {}, "x"],
    ["ending the input, escaped", "POST", `${INPUT}?%5Feos%5f=true`, {}, "x"],
    ["ending the input, escaped twice", "POST", `${INPUT}?%255feos%255f=true`, {}, "x"],
    ["ending the input, in capitals", "POST", `${INPUT}?_EOS_=true`, {}, "x"],
    ["ending the input, as an array", "POST", `${INPUT}?_eos_[]=true`, {}, "x"],
    ["ending the input, twice", "POST", `${INPUT}?_eos_=false&_eos_=true`, {}, "x"],
    ["ending the input, after a semicolon", "POST", `${INPUT}?a=1;_eos_=true`, {}, "x"],
    ["ending the input, after a semicolon in a name", "POST", `${INPUT}?a%3b_eos_=true`, {}, "x"],
    ["ending the input, after a second question mark", "POST", `${INPUT}??_eos_=true`, {}, "x"],
    ["ending the input, after a blank", "POST", `${INPUT}?+_eos_=true`, {}, "x"],
    ["ending the input, with look-alike characters", "POST", `${INPUT}?＿eos＿=true`, {}, "x"],
    [
      "ending the input, with a form body",
      "POST",
      INPUT,
      { "content-type": "Application/X-WWW-Form-Urlencoded" },
      "_eos_=true",
    ],
    ["a priority", "POST", `${INPUT}?_priority_=1`, {}, "x"],
    ["a priority in the header", "POST", INPUT, { "x-eas-queueservice-priority": "1" }, "x"],
    ["the dead letters", "POST", INPUT, { "X-EAS-QueueService-Access-Rear": "true" }, "x"],
    ["another header of the queue", "POST", INPUT, { "x-eas-queueservice-other": "1" }, "x"],
    ["a request id of one's own", "POST", `${INPUT}?requestId=x`, {}, "x"],
    ["forging a result", "POST", SINK, {}, "x"],
    ["forging a result below the sink", "POST", `${SINK}/v1`, {}, "x"],
    ["a path below the input", "POST", `${INPUT}/v1`, {}, "x"],
    ["HEAD", "HEAD", SINK],
    ["PATCH", "PATCH", INPUT, {}, "x"],
  ])("refuses %s: nothing is sent, and nothing changes", async (_, method, path, headers, body) => {
    const { emulator, queue, ask } = await startExample();
    const before = emulator.requests.length;
    const response = await ask(method, path, headers, body);
    expect(response.status).toBe(403);
    if (method !== "HEAD") expect((await refusalOf(response))[1]).toMatch(/^this relay does not allow .+ on this path/);
    expect(emulator.requests).toHaveLength(before);
    expect(queue.sink.length).toBe(1);
  });

  test("of one service allows its two paths, and no parameter of a queue", async () => {
    const { ask, calls } = memoryRelay({ base: "/eas", allow: allowOfExample("One service") });
    expect((await ask("/eas/v1/chat/completions?a=1")).status).toBe(200);
    expect((await ask("/eas/v1/models", { method: "GET" })).status).toBe(200);
    for (const [method, path] of [
      ["GET", "/eas/v1/chat/completions"],
      ["POST", "/eas/v1/models"],
      ["POST", "/eas"],
      ["POST", "/eas/v1/chat/completions?_eos_=true"],
      ["GET", "/eas/v1/models?_watch_=true"],
    ] as const) {
      expect((await ask(path, { method })).status).toBe(403);
    }
    expect(calls).toHaveLength(2);
  });
});

describe("operations", () => {
  const REQUESTS: Readonly<Record<string, readonly [string, string, Record<string, string>?]>> = {
    put: ["POST", "?task=1&%E6%A0%87=%26"],
    "put, from a page": ["POST", "?requestId=0b0e1f6a-9d3c-4c55-8f6e-2f1f7b3f9a10"],
    result: ["GET", "?requestId=r&_raw_=false&_timeout_=5s&_auto_delete_=false&_length_=1&_index_=0"],
    "result, deleting": ["GET", "?easJob=j&_auto_delete_=true"],
    get: ["GET", "?_index_=-1&_auto_delete_=false"],
    take: ["GET", "?_index_=0"],
    watch: ["GET", "?_watch_=true&_index_=0&_window_=1&_index_only_=false&_auto_commit_=false&task=1"],
    "watch, committing": ["GET", "?_watch_=true&_auto_commit_=true"],
    "watch, which may commit": ["GET", "?_watch_=true"],
    commit: ["PUT", "?_indexes_=1,2"],
    negative: ["PUT", "?_indexes_=1&_negative_=true"],
    delete: ["DELETE", "?_indexes_=6925387844634542080"],
    search: ["GET", "?_search_=true&_index_=1"],
    count: ["GET", "?_count_=true&_priority_=1&task=1"],
    attributes: ["GET", "?_attrs_=true"],
    truncate: ["DELETE", "?_index_=5&_trunc_=true"],
    end: ["POST", "?_eos_=true&_force_=true"],
    priority: ["POST", "?_priority_=1"],
    "priority by header": ["POST", "", { "x-eas-queueservice-priority": "1" }],
    rear: ["GET", "?_attrs_=true", { "x-eas-queueservice-access-rear": "true" }],
  };

  test.each<[readonly RelayOperation[], readonly string[]]>([
    [["put"], ["put", "put, from a page"]],
    [
      ["put", "priority"],
      ["put", "put, from a page", "priority", "priority by header"],
    ],
    [["result"], ["result", "result, deleting"]],
    [["get"], ["result", "get"]],
    [["take"], ["result", "result, deleting", "get", "take", "delete"]],
    [["watch"], ["watch"]],
    [
      ["watch", "commit"],
      ["watch", "watch, committing", "watch, which may commit", "commit"],
    ],
    [["commit"], ["commit"]],
    [["negative"], ["negative"]],
    [["delete"], ["delete"]],
    [["search"], ["search"]],
    [["count"], ["count"]],
    [["attributes"], ["attributes"]],
    [
      ["attributes", "rear"],
      ["attributes", "rear"],
    ],
    [["truncate"], ["truncate"]],
    [["end"], ["end"]],
  ])("%j", async (operations, allowed) => {
    const passed: string[] = [];
    for (const [name, [method, query, headers]] of Object.entries(REQUESTS)) {
      const { ask, calls } = memoryRelay({ allow: [{ paths: ["/"], operations }] });
      const { status } = await ask(`/${query}`, { method, ...(headers && { headers }) });
      expect(status).toBe(calls.length === 1 ? 200 : 403);
      if (status !== 200) continue;
      passed.push(name);
      expect(calls[0]?.path).toBe(query.replace("_indexes_=1,2", "_indexes_=1%2C2"));
      const [sent = null] = Object.entries(headers ?? {});
      expect(calls[0]?.headers.find(([header]) => header.startsWith("x-eas-queue")) ?? null).toEqual(sent);
    }
    expect(passed).toEqual(allowed);
  });

  test("are the union of all rules of a path", async () => {
    const { ask, calls } = memoryRelay({
      allow: [
        { paths: ["/"], operations: ["put"] },
        { paths: ["/"], operations: ["count"] },
        { methods: ["GET"], paths: ["/*"] },
      ],
    });
    expect((await ask("/")).status).toBe(200);
    expect((await ask("/?_count_=true", { method: "GET" })).status).toBe(200);
    expect((await ask("/?_attrs_=true", { method: "GET" })).status).toBe(403);
    expect((await ask("/?plain=1", { method: "GET" })).status).toBe(200);
    expect(calls).toHaveLength(3);
  });
});

describe("consumer group", () => {
  const headers = { "x-eas-queueservice-redis-uid": "u", "x-eas-queueservice-redis-gid": "theirs" };
  const GROUPED = [
    ["GET", "/?_watch_=true&_auto_commit_=false"],
    ["PUT", "/?_indexes_=1"],
    ["PUT", "/?_indexes_=1&_negative_=true"],
    ["GET", "/?_search_=true&_index_=1"],
  ] as const;
  const operations = ["watch", "commit", "negative", "search", "put"] as const;
  const queueHeaders = (calls: readonly { headers: readonly [string, string][] }[]) =>
    Object.fromEntries(calls[0]?.headers.filter(([name]) => name.startsWith("x-eas-")) ?? []);

  test.each(GROUPED)("is refused without gid in the rule: %s %s", async (method, path) => {
    for (const [name, value] of Object.entries(headers)) {
      const { ask, calls } = memoryRelay({ allow: [{ paths: ["/"], operations }] });
      const [status, error] = await refusalOf(await ask(path, { method, headers: { [name]: value } }));
      expect(status).toBe(403);
      expect(error).toContain(`${name}, because the rule has no gid`);
      expect(calls).toEqual([]);
      expect((await ask(path, { method })).status).toBe(200);
    }
  });

  test("is removed from a put without gid in the rule", async () => {
    const { ask, calls } = memoryRelay({ allow: [{ paths: ["/"], operations }] });
    expect((await ask("/", { headers })).status).toBe(200);
    expect(queueHeaders(calls)).toEqual({});
  });

  test.each(GROUPED)("is replaced by the gid of the rule: %s %s", async (method, path) => {
    const { ask, calls } = memoryRelay({ allow: [{ paths: ["/"], operations, gid: "pages" }] });
    expect((await ask(path, { method, headers })).status).toBe(200);
    expect(queueHeaders(calls)).toEqual({ ...headers, "x-eas-queueservice-redis-gid": "pages" });
    calls.length = 0;
    await ask(path, { method });
    expect(queueHeaders(calls)).toEqual({ "x-eas-queueservice-redis-gid": "pages" });
  });

  test("is chosen by the caller with gid *", async () => {
    const { ask, calls } = memoryRelay({ allow: [{ paths: ["/"], operations, gid: "*" }] });
    await ask("/?_watch_=true&_auto_commit_=false", { method: "GET", headers });
    expect(queueHeaders(calls)).toEqual(headers);
  });

  test("is named in the error of a queue client whose rule has no gid", async () => {
    const { relay } = memoryRelay({ allow: [{ paths: ["/"], operations: ["search"] }] });
    const fetch = (url: string | URL | Request, init?: RequestInit) => relay(new Request(url, init));
    const queue = new QueueClient({ customUrl: "https://my.site/", fetch: fetch as never, logger: null });
    onTestFinished(() => void queue.close());
    const error = await errorOf(queue.search(1n));
    expect(error).toMatchObject({ status: 403, attempts: 1 });
    expect(error.message).toContain("the relay itself refused the request");
    expect(error.message).toContain("because the rule has no gid");
  });
});

describe("rule without operations", () => {
  test.each([
    "/?_eos_=true",
    "/?a=1&_WATCH_=true",
    "/?a=1;_trunc_=true",
    "/?%5fauto_delete%5f=true",
    "/?%255fauto_delete%255f=true",
    "/?_indexes_[0]=1",
    "/?＿eos＿=true",
    "/?+_eos_",
    "/??_eos_",
    "/?_new_one_=1",
  ])("refuses the parameters of a queue: %s", async (path) => {
    const { ask, calls } = memoryRelay({ allow: [{ methods: ["POST", "GET", "DELETE"], paths: ["/*"] }] });
    const [status, error] = await refusalOf(await ask(path));
    expect(status).toBe(403);
    expect(error).toContain("its rule names no operations of a queue");
    expect(calls).toEqual([]);
  });

  test.each(["uid", "redis-uid", "redis-gid", "access-rear", "priority"])(
    "refuses the headers of a queue: %s",
    async (name) => {
      const { ask, calls } = memoryRelay();
      const response = await ask("/", { headers: { [`X-EAS-QueueService-${name}`]: "1" } });
      expect((await refusalOf(response))[0]).toBe(403);
      expect(calls).toEqual([]);
    },
  );

  test.each(["/?_t=1", "/?a=_eos_", "/?__theme=dark", "/?eos_=1", "/?a_b_=1", "/?_1_=1"])(
    "forwards other parameters unchanged: %s",
    async (path) => {
      const { ask, calls } = memoryRelay();
      expect((await ask(path)).status).toBe(200);
      expect(calls[0]?.path).toBe(path.slice(1));
    },
  );
});

describe("path with a star and operations", () => {
  test.each([
    ["/jobs/v1/txt2img", 200],
    ["/jobs/sinks", 200],
    ["/jobs/sink", 403],
    ["/jobs/sink/", 403],
    ["/jobs/sink/v1", 403],
    ["/jobs/SINK", 403],
    ["/jobs/s%69nk", 403],
    ["/jobs/%EF%BD%93ink", 403],
    ["/jobs/sink;x", 403],
    ["/jobs/sink%20", 403],
  ])("does not cover a sink: %s, %i", async (path, status) => {
    const { ask } = memoryRelay({ allow: [{ paths: ["/jobs/*"], operations: ["put"] }] });
    expect((await ask(path)).status).toBe(status);
  });

  test("a sink is allowed by its own path", async () => {
    const { ask } = memoryRelay({ allow: [{ paths: ["/jobs/*", "/jobs/sink"], operations: ["put"] }] });
    expect((await ask("/jobs/sink")).status).toBe(200);
  });
});

test.each<[string, object, string]>([
  ["no operations", { operations: [] }, "allow[0].operations is an array"],
  ["one operation as text", { operations: "put" }, 'allow[0].operations is "put"'],
  ["an unknown operation", { operations: ["put", "peek"] }, 'allow[0].operations is "peek": it must be a list'],
  ["priority alone", { operations: ["priority"] }, "allow[0].operations"],
  ["methods and operations", { methods: ["POST"], operations: ["put"] }, "allow[0].methods is an array"],
  ["a gid without operations", { gid: "eas" }, 'allow[0].gid is "eas"'],
  ["an empty gid", { operations: ["watch"], gid: "" }, 'gid is ""'],
  ["a gid with a line break", { operations: ["watch"], gid: "a\nb" }, "gid"],
])("refuses a rule with an explanatory message: %s", (_, wrong, words) => {
  expect(() => memoryRelay({ allow: [{ paths: ["/"], ...wrong }] as never })).toThrow(words);
});

test("refuses headers of a queue in requestHeaders", () => {
  expect(() => memoryRelay({ requestHeaders: ["X-EAS-QueueService-Redis-Uid"] })).toThrow("requestHeaders");
});
