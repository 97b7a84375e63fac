import { describe, expect, test, vi } from "vitest";
import {
  type ComfyUiOptions,
  comfyUi,
  createEmulator,
  type EmulatorQueueOptions,
} from "../../../../src/emulator/index.js";
import { AsyncInferenceClient, QueueClient } from "../../../../src/index.js";
import { readPng, textToImage } from "../../../support/comfyui.js";

function open(options: ComfyUiOptions = {}, queue: EmulatorQueueOptions = {}) {
  const comfy = comfyUi(options);
  const emulator = createEmulator({ services: { files: comfy }, queues: { comfy: { service: comfy, ...queue } } });
  const { token, transport } = emulator;
  const settings = { endpoint: "http://emulator", token, transport };
  const client = new AsyncInferenceClient({ ...settings, serviceName: "comfy" });
  const submit = (workflow: object, task_id: string) =>
    client.submit(JSON.stringify(workflow), { path: "/api_prompt", tags: { task_id } });
  return { comfy, emulator, client, submit, settings, ...emulator.queue("comfy")! };
}

describe("ComfyUI behind a queue", () => {
  test("writes its messages and outputs to the sink, with the tag task_id", async () => {
    const { submit, comfy } = open();
    const job = await submit(textToImage(), "txt2img_0");
    const frame = await job.result({ timeout: 60_000 });
    const output = { images: [{ filename: "ComfyUI_00001_.png", subfolder: "", type: "output" }] };
    const [executed, outputs] = JSON.parse(frame.text());
    expect(executed).toEqual({ type: "executed", data: { node: "9", output, prompt_id: expect.any(String) } });
    expect(outputs).toEqual({ "9": output });
    expect(frame.tags).toMatchObject({ task_id: "txt2img_0" });
    expect(readPng(comfy.outputFile("ComfyUI_00001_.png")!)).toMatchObject({ width: 64 });
  });

  test("writes only the outputs of a workflow that is repeated", async () => {
    const { submit } = open();
    const first = JSON.parse((await (await submit(textToImage(), "a")).result({ timeout: 60_000 })).text());
    const second = JSON.parse((await (await submit(textToImage(), "b")).result({ timeout: 60_000 })).text());
    expect(second).toEqual([first[1]]);
  });

  test("accepts the body of /prompt too, and the images are readable at the service", async () => {
    const { submit, emulator } = open();
    await (await submit({ prompt: textToImage() }, "a")).result({ timeout: 60_000 });
    const headers = { authorization: emulator.token };
    const url = "http://e/api/predict/files/view?filename=ComfyUI_00001_.png";
    expect((await emulator.fetch(new Request(url, { headers }))).status).toBe(200);
  });

  test.each([
    ["an invalid workflow", { "1": { class_type: "None" } }, "400", "missing_node_type"],
    ["a body that is not a workflow", [], "400", "invalid_json"],
    ["a workflow that is too large", textToImage({ side: 16_384 }), "500", "execution_error"],
  ])("writes a failure with lastCode for %s", async (_, workflow, lastCode, text) => {
    const { submit, sink } = open();
    await submit(workflow, "bad");
    await vi.waitFor(() => expect(sink.length).toBe(1), { timeout: 20_000, interval: 5 });
    expect(sink.items[0]?.tags).toMatchObject({ task_id: "bad", lastCode });
    expect(new TextDecoder().decode(sink.items[0]?.data)).toContain(text);
  });

  test("delivers the results in order to a watch with several workers", async () => {
    const { submit, settings } = open({}, { workers: 4 });
    for (let seed = 0; seed < 8; seed++) await submit(textToImage({ seed }), `job_${seed}`);
    const sink = new QueueClient({ ...settings, queueName: "comfy/sink" });
    const watch = await sink.watch(0n, 3, { autoCommit: false });
    const tasks: (string | undefined)[] = [];
    for await (const frame of watch) {
      tasks.push(frame.tags.task_id);
      await sink.commit(frame.index);
      if (tasks.length === 8) break;
    }
    expect(tasks).toEqual(Array.from({ length: 8 }, (_, i) => `job_${i}`));
  });

  test("does not start a workflow while the sink is full", async () => {
    const started: string[] = [];
    const { submit, input, sink } = open(
      { onStep: ({ id, step }) => void (step === 1 && started.push(id)) },
      { sinkMaxLength: 1 },
    );
    const jobs = [await submit(textToImage({ seed: 1 }), "a"), await submit(textToImage({ seed: 2 }), "b")];
    await vi.waitFor(() => expect(sink.isFull).toBe(true), { timeout: 20_000, interval: 5 });
    expect([started.length, input.length]).toEqual([1, 1]);
    for (const job of jobs) expect((await job!.result({ timeout: 60_000 })).text()).toContain("ComfyUI_");
    expect([started.length, input.length]).toEqual([2, 0]);
  });

  test("stops the workflow when the queue is replaced", async () => {
    let started = () => {};
    const isRunning = new Promise<void>((resolve) => {
      started = resolve;
    });
    const { submit, emulator, comfy } = open({
      onStep: () => {
        started();
        return new Promise(() => {});
      },
    });
    await submit(textToImage(), "a");
    await isRunning;
    emulator.addQueue("comfy", {});
    const queue = async () => {
      const headers = { authorization: emulator.token };
      return (await emulator.fetch(new Request("http://e/api/predict/files/queue", { headers }))).json();
    };
    await vi.waitFor(async () => expect(await queue()).toEqual({ queue_running: [], queue_pending: [] }));
    expect(comfy.outputFile("ComfyUI_00001_.png")).toBeUndefined();
  });
});
