import { afterEach, describe, expect, test, vi } from "vitest";
import WebSocket from "ws";
import { type ComfyUiOptions, comfyUi, createEmulator, startEmulator } from "../../../../src/emulator/index.js";
import { textToImage } from "../../../support/comfyui.js";

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function start(options: ComfyUiOptions = {}) {
  const emulator = await startEmulator({ token: "", services: { comfy: comfyUi(options) } });
  open.push(emulator);
  const base = `${emulator.endpoint}/api/predict/comfy`;
  const post = async (path: string, body: object): Promise<any> => {
    const response = await fetch(base + path, { method: "POST", body: JSON.stringify(body) });
    const text = await response.text();
    return text === "" ? undefined : JSON.parse(text);
  };
  /** Opens a WebSocket. `until` resolves with all messages so far when one of them satisfies the check. */
  const connect = async (query: string) => {
    const messages: any[] = [];
    const checks = new Set<() => void>();
    const socket = new WebSocket(`${base.replace("http", "ws")}/ws${query}`);
    open.push({ close: () => socket.terminate() });
    const closed = new Promise<number>((resolve) => socket.on("close", resolve));
    socket.on("message", (data) => {
      messages.push(JSON.parse(String(data)));
      for (const check of checks) check();
    });
    const until = (isDone: (message: any) => boolean) =>
      new Promise<any[]>((resolve) => {
        const check = () => {
          if (!messages.some(isDone)) return;
          checks.delete(check);
          resolve(messages);
        };
        checks.add(check);
        check();
      });
    return { messages, until, closed, socket };
  };
  return { emulator, base, post, connect };
}

const type = (name: string) => (message: any) => message.type === name;
const isEnd = ({ type, data }: any) => type === "executing" && data.node === null;

describe("the WebSocket /ws", () => {
  test("reports a workflow from the start to the image", async () => {
    const { post, connect } = await start({ now: () => 1_700_000_000_000 });
    const { until } = await connect("?clientId=me");
    await until(type("status"));
    const { prompt_id } = await post("/prompt", { prompt: textToImage({ steps: 2 }), client_id: "me" });
    const messages = await until(isEnd);
    const timestamp = 1_700_000_000_000;
    const executing = (node: string) => ({ type: "executing", data: { node, display_node: node, prompt_id } });
    const status = (queue_remaining: number) => ({
      type: "status",
      data: { status: { exec_info: { queue_remaining } } },
    });
    const images = [{ filename: "ComfyUI_00001_.png", subfolder: "", type: "output" }];
    expect(messages).toEqual([
      { type: "status", data: { status: { exec_info: { queue_remaining: 0 } }, sid: "me" } },
      status(1),
      { type: "execution_start", data: { prompt_id, timestamp } },
      { type: "execution_cached", data: { nodes: [], prompt_id, timestamp } },
      ...["4", "6", "7", "5", "3"].map(executing),
      { type: "progress", data: { value: 1, max: 2, prompt_id, node: "3" } },
      { type: "progress", data: { value: 2, max: 2, prompt_id, node: "3" } },
      executing("8"),
      executing("9"),
      { type: "executed", data: { node: "9", display_node: "9", output: { images }, prompt_id } },
      { type: "execution_success", data: { prompt_id, timestamp } },
      status(0),
      { type: "executing", data: { node: null, prompt_id } },
    ]);
  });

  test("sends progress only to the client of the workflow, and the status to all", async () => {
    const { post, connect } = await start();
    const [me, other] = [await connect("?clientId=me"), await connect("?clientId=other")];
    await Promise.all([me.until(type("status")), other.until(type("status"))]);
    await post("/prompt", { prompt: textToImage(), client_id: "me" });
    await me.until(isEnd);
    await other.until(({ data }) => data.status?.exec_info.queue_remaining === 0 && data.sid === undefined);
    expect(new Set(other.messages.map(({ type }) => type))).toEqual(new Set(["status"]));
  });

  test("tells a client that reconnects which node runs, and replaces its earlier socket", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { post, connect } = await start({ onStep: () => held });
    const first = await connect("?clientId=me");
    await first.until(type("status"));
    await post("/prompt", { prompt: textToImage(), client_id: "me" });
    await first.until(({ data }) => data.node === "3");
    const second = await connect("?clientId=me");
    await second.until(type("executing"));
    expect(second.messages[1]).toEqual({ type: "executing", data: { node: "3" } });
    release();
    await second.until(isEnd);
    expect(first.messages.some(type("progress"))).toBe(false);
    expect(second.messages.some(type("execution_success"))).toBe(true);
  });

  test("reports an interruption to all clients", async () => {
    const { post, connect } = await start({ onStep: () => new Promise(() => {}) });
    const [me, other] = [await connect("?clientId=me"), await connect("?clientId=other")];
    await Promise.all([me.until(type("status")), other.until(type("status"))]);
    const { prompt_id } = await post("/prompt", { prompt: textToImage(), client_id: "me" });
    await me.until(({ data }) => data.node === "3");
    await post("/interrupt", {});
    const messages = await other.until(type("execution_interrupted"));
    expect(messages.find(type("execution_interrupted")).data).toMatchObject({ prompt_id, node_id: "3" });
    await me.until(isEnd);
  });

  test.each([
    ["", /^[0-9a-f]{32}$/],
    ["?clientId=", /^[0-9a-f]{32}$/],
    ["?clientId=__proto__", /^__proto__$/],
    ["?clientId=%00%F0%9F%90%88%22%5C", /^\0🐈"\\$/],
    [`?clientId=${"x".repeat(4000)}`, /^x{4000}$/],
    ["?clientId=%zz&clientId=b", /^%zz$/],
  ])("accepts the client id of %s", async (query, sid) => {
    const { connect, post } = await start();
    const { until } = await connect(query);
    const [first] = await until(type("status"));
    expect(first.data.sid).toMatch(sid);
    await post("/prompt", { prompt: textToImage(), client_id: first.data.sid });
    await until(isEnd);
  });

  test("ignores messages of the client, and has no other path", async () => {
    const { connect, base } = await start();
    const { socket, until } = await connect("?clientId=me");
    await until(type("status"));
    socket.send("not json");
    socket.send(new Uint8Array(8));
    socket.send('{"type":"feature_flags","data":{}}');
    const wrong = new WebSocket(`${base.replace("http", "ws")}/other`);
    open.push({ close: () => wrong.terminate() });
    expect(await new Promise((resolve) => wrong.on("close", resolve))).toBe(1008);
    expect(socket.readyState).toBe(WebSocket.OPEN);
  });

  test("reports an execution error to the client", async () => {
    const { connect, post } = await start();
    const { until } = await connect("?clientId=me");
    await until(type("status"));
    await post("/prompt", { prompt: textToImage({ side: 16384 }), client_id: "me" });
    const messages = await until(type("execution_error"));
    expect(messages.find(type("execution_error")).data).toMatchObject({ exception_type: "torch.OutOfMemoryError" });
  });
});

describe("stepTime", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test("advances with fake timers", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const emulator = createEmulator({ token: "", services: { comfy: comfyUi({ stepTime: 60_000 }) } });
    const messages: any[] = [];
    const call = (path: string, init?: RequestInit) =>
      emulator.fetch(new Request(`http://e/api/predict/comfy${path}`, init));
    const accepted: any = await emulator.connect(new Request("http://e/api/predict/comfy/ws?clientId=me"));
    accepted.attach({
      send: (text: string) => messages.push(JSON.parse(text)),
      bufferedBytes: 0,
      close: () => {},
      terminate: () => {},
    });
    await call("/prompt", { method: "POST", body: JSON.stringify({ prompt: textToImage(), client_id: "me" }) });
    const progress = () => messages.filter(type("progress")).map(({ data }) => data.value);
    for (const expected of [[], [1], [1, 2]]) {
      await vi.advanceTimersByTimeAsync(59_999);
      expect(progress()).toEqual(expected);
      await vi.advanceTimersByTimeAsync(1);
    }
    expect(progress()).toEqual([1, 2, 3]);
  });
});
