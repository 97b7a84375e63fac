import { describe, expect, test, vi } from "vitest";
import { createEmulator, type StableDiffusionOptions, stableDiffusion } from "../../../../src/emulator/index.js";
import { AsyncInferenceClient } from "../../../../src/index.js";
import { readPng } from "../../../support/comfyui.js";

function open(options: StableDiffusionOptions = {}) {
  const sd = stableDiffusion(options);
  const emulator = createEmulator({ token: "", services: { sd }, queues: { "sd-async": { service: sd } } });
  const call = async (method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<any> => {
    const text = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
    const init = { method, ...(text === undefined ? {} : { body: text }), ...(signal && { signal }) };
    const response = await emulator.fetch(new Request(`http://e/api/predict/sd/sdapi/v1/${path}`, init));
    return { status: response.status, body: await response.json() };
  };
  const queued = new AsyncInferenceClient({
    endpoint: "http://e",
    serviceName: "sd-async",
    transport: emulator.transport,
  });
  return { sd, emulator, call, queued };
}

const request = { prompt: "a serene mountain", seed: 5, steps: 4, width: 64, height: 48 };
const decode = (base64: string) => readPng(Buffer.from(base64, "base64"));

describe("txt2img", () => {
  test("returns images as base64 and describes them", async () => {
    const { status, body } = await open().call("POST", "txt2img", { ...request, n_iter: 2, batch_size: 2 });
    expect(status).toBe(200);
    expect(body.images).toHaveLength(4);
    for (const image of body.images) expect(decode(image)).toMatchObject({ width: 64, height: 48 });
    expect(new Set(body.images).size).toBe(4);
    expect(body.parameters).toEqual({ ...request, n_iter: 2, batch_size: 2 });
    expect(JSON.parse(body.info)).toMatchObject({ seed: 5, all_seeds: [5, 6, 7, 8], steps: 4, sampler_name: "Euler" });
  });

  test("draws the same image for the same seed, prompt and size, and others otherwise", async () => {
    const { call } = open();
    const draw = async (changes: object) => (await call("POST", "txt2img", { ...request, ...changes })).body.images[0];
    const images = await Promise.all([{}, { seed: 6 }, { prompt: "a cat" }, { width: 72 }, {}].map(draw));
    expect(new Set(images).size).toBe(4);
    expect(images[4]).toBe(images[0]);
  });

  test("chooses a seed for a request without a seed, and reports it", async () => {
    const { call } = open();
    const { body } = await call("POST", "txt2img", { ...request, seed: -1 });
    const { seed } = JSON.parse(body.info);
    expect(seed).toBeGreaterThanOrEqual(0);
    expect((await call("POST", "txt2img", { ...request, seed })).body.images).toEqual(body.images);
  });

  test("with save_dir returns the paths of a grid and of the images", async () => {
    const times = [1_690_000_000_000, 1_690_000_032_200, 1_690_000_032_200];
    const { call, sd } = open({ now: () => times.shift()! });
    const { body } = await call("POST", "txt2img?task_id=job_001", {
      ...request,
      n_iter: 2,
      alwayson_scripts: { save_dir: "/data/outputs/" },
    });
    const paths = [
      "/data/outputs/txt2img-grids/2023-07-22/grid-0000.png",
      "/data/outputs/txt2img-images/2023-07-22/00000-5.png",
      "/data/outputs/txt2img-images/2023-07-22/00001-6.png",
    ];
    expect(body).toEqual({
      images: [],
      parameters: {
        id_task: "job_001",
        status: 0,
        image_url: paths.join(","),
        seed: "5,6",
        error_msg: "",
        total_time: 32.2,
      },
      info: "",
    });
    const [grid, first] = paths.map((path) => readPng(sd.outputFile(path)!));
    expect(grid).toMatchObject({ width: 128, height: 48 });
    expect(grid!.colors).toBeGreaterThan(4);
    expect(first).toMatchObject({ width: 64, height: 48 });
    expect(sd.outputFile("/data/outputs/../x")).toBeUndefined();
  });

  test("leaves the images out if send_images is false", async () => {
    expect((await open().call("POST", "txt2img", { ...request, send_images: false })).body.images).toEqual([]);
  });

  test("keeps only the latest saved images", async () => {
    const { call, sd } = open({ maxFiles: 2 });
    const saved = { ...request, alwayson_scripts: { save_dir: "d" } };
    const paths = [];
    for (let i = 0; i < 3; i++) paths.push((await call("POST", "txt2img", saved)).body.parameters.image_url);
    expect(paths.map((path) => sd.outputFile(path) !== undefined)).toEqual([false, true, true]);
  });
});

describe("img2img", () => {
  const image = Buffer.from("an image").toString("base64");

  test("draws an image that depends on the initial image", async () => {
    const { call } = open();
    const draw = async (changes: object) => (await call("POST", "img2img", { ...request, ...changes })).body.images[0];
    const images = await Promise.all([
      draw({ init_images: [image] }),
      draw({ init_images: [`data:image/png;base64,${image}`] }),
      draw({ init_images: [Buffer.from("another").toString("base64")] }),
      draw({ alwayson_scripts: { image_link: "https://example.com/boy.png" } }),
    ]);
    expect(images[1]).toBe(images[0]);
    expect(new Set(images).size).toBe(3);
  });

  test.each([
    [{}, 404, "Init image not found"],
    [{ init_images: [] }, 404, "Init image not found"],
    [{ init_images: ["not base64!"] }, 500, "Invalid encoded image"],
    [{ init_images: [5] }, 500, "Invalid encoded image"],
  ])("refuses %j", async (changes, status, detail) => {
    const response = await open().call("POST", "img2img", { ...request, ...changes });
    expect(response).toEqual({ status, body: { error: "HTTPException", detail, body: "", errors: "" } });
  });
});

describe("an invalid request", () => {
  test.each([
    ["not json", ["body"], "value_error.jsondecode"],
    ["[]", ["body"], "type_error.dict"],
    [{ steps: "many" }, ["body", "steps"], "type_error.integer"],
    [{ steps: 0 }, ["body", "steps"], "value_error.number.not_ge"],
    [{ steps: 1e9 }, ["body", "steps"], "value_error.number.not_le"],
    [{ width: 1e6 }, ["body", "width"], "value_error.number.not_le"],
    [{ height: -5 }, ["body", "height"], "value_error.number.not_ge"],
    [{ batch_size: 1e6 }, ["body", "batch_size"], "value_error.number.not_le"],
    [{ n_iter: {} }, ["body", "n_iter"], "type_error.integer"],
    [{ prompt: ["a"] }, ["body", "prompt"], "type_error.str"],
    [{ alwayson_scripts: [] }, ["body", "alwayson_scripts"], "type_error.dict"],
    [{ override_settings: "x" }, ["body", "override_settings"], "type_error.dict"],
  ])("gets status 422 for %j", async (body, loc, type) => {
    const response = await open().call("POST", "txt2img", body);
    expect(response).toEqual({ status: 422, body: { detail: [{ loc, msg: expect.any(String), type }] } });
  });

  test("gets status 500 if it needs too much memory, and 404 for an unknown sampler", async () => {
    const { call } = open({ models: ["v1-5.safetensors"] });
    expect(await call("POST", "txt2img", { width: 16_384, height: 16_384 })).toMatchObject({
      status: 500,
      body: { error: "OutOfMemoryError", errors: expect.stringContaining("4194304") },
    });
    expect(await call("POST", "txt2img", { sampler_name: "none" })).toMatchObject({
      status: 404,
      body: { detail: "Sampler not found" },
    });
    const unknown = { ...request, alwayson_scripts: { sd_model_checkpoint: "none" } };
    expect(await call("POST", "txt2img", unknown)).toMatchObject({
      status: 500,
      body: { errors: "Unknown checkpoint: none" },
    });
    const known = { ...request, override_settings: { sd_model_checkpoint: "v1-5.safetensors" } };
    expect((await call("POST", "txt2img", known)).status).toBe(200);
    expect((await call("GET", "sd-models")).body[0]).toMatchObject({ title: "v1-5.safetensors", model_name: "v1-5" });
    expect((await call("GET", "samplers")).body[0].name).toBe("Euler a");
    expect(await call("GET", "none")).toEqual({ status: 404, body: { detail: "Not Found" } });
  });
});

describe("progress", () => {
  /** A service whose sampling waits at a step until the test releases it. */
  function held(at: number) {
    let reached = () => {};
    let release = () => {};
    const isReached = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const isReleased = new Promise<void>((resolve) => {
      release = resolve;
    });
    let steps = 0;
    const onStep = () => {
      steps++;
      if (steps !== at) return undefined;
      reached();
      return isReleased;
    };
    return { ...open({ onStep }), isReached, release: () => release() };
  }

  test("reports the step of the running request", async () => {
    const { call, isReached, release } = held(7);
    expect((await call("GET", "progress")).body).toMatchObject({ progress: 0, state: { job_count: 0 } });
    const response = call("POST", "txt2img?task_id=a", { ...request, n_iter: 2 });
    await isReached;
    // Two of four steps of the second iteration have run.
    expect((await call("GET", "progress")).body).toMatchObject({
      progress: 0.76,
      state: { job: "a", job_no: 1, job_count: 2, sampling_step: 2, sampling_steps: 4, interrupted: false },
    });
    release();
    expect((await response).body.images).toHaveLength(2);
    expect((await call("GET", "progress")).body.progress).toBe(0);
  });

  test("an interruption ends the request with the images so far", async () => {
    const { call, isReached } = held(6);
    const response = call("POST", "txt2img", { ...request, n_iter: 5 });
    await isReached;
    expect(await call("POST", "interrupt")).toEqual({ status: 200, body: {} });
    const { status, body } = await response;
    expect([status, body.images.length]).toEqual([200, 2]);
  });

  test("an abandoned request is stopped, and the next one runs", async () => {
    const { call, isReached } = held(2);
    const abort = new AbortController();
    const abandoned = call("POST", "txt2img", request, abort.signal);
    await isReached;
    const next = call("POST", "txt2img", request);
    abort.abort();
    await expect(abandoned).rejects.toThrow();
    expect((await next).body.images).toHaveLength(1);
  });

  test("an error of onStep becomes a response with status 500", async () => {
    const { call } = open({
      onStep: () => {
        throw new Error("no GPU");
      },
    });
    expect(await call("POST", "txt2img", request)).toMatchObject({
      status: 500,
      body: { error: "RuntimeError", errors: "no GPU" },
    });
  });

  test("stepTime advances with fake timers", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const { call } = open({ stepTime: 30_000 });
      let isDone = false;
      const response = call("POST", "txt2img", request).then((value) => {
        isDone = true;
        return value;
      });
      await vi.advanceTimersByTimeAsync(119_999);
      expect(isDone).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      expect((await response).status).toBe(200);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("Stable Diffusion behind a queue", () => {
  test("writes the paths of the images to the sink, with the tag task_id", async () => {
    const { queued, sd } = open();
    const body = { ...request, alwayson_scripts: { save_dir: "/data" } };
    const job = await queued.submit(JSON.stringify(body), {
      path: "/sdapi/v1/txt2img",
      tags: { task_id: "job_001" },
    });
    const frame = await job.result({ timeout: 60_000 });
    const { images, parameters } = JSON.parse(frame.text());
    expect(images).toEqual([]);
    expect(frame.tags).toMatchObject({ task_id: "job_001" });
    expect(parameters).toMatchObject({ id_task: "job_001", status: 0, seed: "5" });
    expect(readPng(sd.outputFile(parameters.image_url)!)).toMatchObject({ width: 64, height: 48 });
  });

  test("writes a failure with lastCode", async () => {
    const { queued, emulator } = open();
    await queued.submit('{"steps":0}', { path: "/sdapi/v1/txt2img", tags: { task_id: "bad" } });
    const { sink } = emulator.queue("sd-async")!;
    await vi.waitFor(() => expect(sink.length).toBe(1), { timeout: 20_000, interval: 5 });
    expect(sink.items[0]?.tags).toMatchObject({ task_id: "bad", lastCode: "422" });
  });
});

test.each([
  [{ stepTime: Number.NaN }, /stepTime is NaN/],
  [{ maxFiles: 0 }, /maxFiles is 0/],
  [{ historyLength: 1 }, /unknown option "historyLength"/],
])("stableDiffusion refuses the options %j", (options, message) => {
  expect(() => stableDiffusion(options as StableDiffusionOptions)).toThrow(message);
});
