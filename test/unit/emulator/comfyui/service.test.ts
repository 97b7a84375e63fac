import { describe, expect, test, vi } from "vitest";
import { type ComfyUiOptions, comfyUi, createEmulator } from "../../../../src/emulator/index.js";
import { readPng, textToImage } from "../../../support/comfyui.js";

function open(options: ComfyUiOptions = {}) {
  const comfy = comfyUi(options);
  const emulator = createEmulator({ token: "", services: { comfy } });
  const call = (method: string, path: string, body?: unknown) => {
    const text = typeof body === "string" ? body : body && JSON.stringify(body);
    return emulator.fetch(
      new Request(`http://e/api/predict/comfy${path}`, {
        method,
        ...(text === undefined ? {} : { body: text as string }),
      }),
    );
  };
  const json = async (method: string, path: string, body?: unknown) => {
    const response = await call(method, path, body);
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
  };
  /** Queues a workflow and waits for its entry in the history. */
  const run = async (prompt: object) => {
    const { body } = await json("POST", "/prompt", { prompt });
    let entry: any;
    await vi.waitFor(
      async () => {
        entry = (await json("GET", `/history/${body.prompt_id}`)).body[body.prompt_id];
        expect(entry).toBeDefined();
      },
      { timeout: 20_000, interval: 5 },
    );
    return { ...body, entry };
  };
  const view = async (query: string) => {
    const response = await call("GET", `/view?${query}`);
    return { status: response.status, headers: response.headers, bytes: new Uint8Array(await response.arrayBuffer()) };
  };
  return { comfy, emulator, call, json, run, view };
}

/** Returns a workflow with changed inputs of one node. */
function changed(id: string, inputs: object, removed: string[] = []): any {
  const workflow = textToImage();
  Object.assign(workflow[id].inputs, inputs);
  for (const name of removed) delete workflow[id].inputs[name];
  return workflow;
}

describe("a valid workflow", () => {
  test("gets an id, appears in the history, and its image is a PNG of the requested size", async () => {
    const { run, view, comfy } = open();
    const { prompt_id, number, node_errors, entry } = await run(textToImage({ side: 64 }));
    expect({ number, node_errors }).toEqual({ number: 0, node_errors: {} });
    expect(prompt_id).toMatch(/^[0-9a-f-]{36}$/);
    const image = { filename: "ComfyUI_00001_.png", subfolder: "", type: "output" };
    expect(entry.outputs).toEqual({ "9": { images: [image] } });
    expect(entry.status).toMatchObject({ status_str: "success", completed: true });
    expect(entry.status.messages.map(([type]: [string]) => type)).toEqual([
      "execution_start",
      "execution_cached",
      "execution_success",
    ]);
    expect(entry.prompt.slice(0, 3)).toEqual([0, prompt_id, textToImage({ side: 64 })]);
    const { status, headers, bytes } = await view("filename=ComfyUI_00001_.png&subfolder=&type=output");
    expect([status, headers.get("content-type")]).toEqual([200, "image/png"]);
    expect(readPng(bytes)).toMatchObject({ width: 64, height: 64, text: expect.stringContaining("a lighthouse") });
    expect(comfy.outputFile("ComfyUI_00001_.png")).toEqual(bytes);
  });

  test("draws the same pixels for the same seed, prompt and size, and others otherwise", async () => {
    const pixelsOf = async (changes: Parameters<typeof textToImage>[0]) => {
      const { run, comfy } = open();
      await run(textToImage(changes));
      const { rows, palette, colors } = readPng(comfy.outputFile("ComfyUI_00001_.png")!);
      expect(colors).toBeGreaterThan(10);
      return Buffer.concat([rows, palette]).toString("base64");
    };
    const pictures = await Promise.all([{}, { seed: 2 }, { text: "一只猫" }, { side: 80 }, {}].map(pixelsOf));
    expect(new Set(pictures).size).toBe(4);
    expect(pictures[4]).toBe(pictures[0]);
  });

  test("that is repeated has the cached result of the run before", async () => {
    const { run } = open();
    const first = await run(textToImage());
    const second = await run(textToImage());
    expect(second.entry.outputs).toEqual(first.entry.outputs);
    expect(second.entry.status.messages[1][1].nodes.sort()).toEqual(["3", "4", "5", "6", "7", "8", "9"]);
    const third = await run(textToImage({ seed: 5 }));
    expect(third.entry.status.messages[1][1].nodes.sort()).toEqual(["4", "5", "6", "7"]);
    expect(third.entry.outputs["9"].images[0].filename).toBe("ComfyUI_00002_.png");
  });

  test("writes one image for each of a batch, into the subfolder of its prefix", async () => {
    const { run, view } = open();
    const workflow = changed("9", { filename_prefix: "cats/black" });
    workflow["5"].inputs.batch_size = 3;
    const { entry } = await run(workflow);
    expect(entry.outputs["9"].images).toHaveLength(3);
    expect(entry.outputs["9"].images[2]).toEqual({ filename: "black_00003_.png", subfolder: "cats", type: "output" });
    expect((await view("filename=black_00003_.png&subfolder=cats")).status).toBe(200);
    expect((await view("filename=black_00003_.png")).status).toBe(404);
  });

  test("may have an empty prefix", async () => {
    const { entry } = await open().run(changed("9", { filename_prefix: "" }));
    expect(entry.outputs["9"].images[0].filename).toBe("_00001_.png");
  });

  test("may use custom nodes that the options name", async () => {
    const workflow = textToImage();
    workflow["8"] = { class_type: "TiledDecode", inputs: { samples: ["3", 0], tile: 512 } };
    workflow["3"].inputs.model = ["20", 0];
    workflow["20"] = { class_type: "PatchModel", inputs: { model: ["4", 0], strength: { any: "thing" } } };
    const { run } = open({ customNodes: ["TiledDecode", "PatchModel"] });
    expect((await run(workflow)).entry.status.completed).toBe(true);
    expect((await open().json("POST", "/prompt", { prompt: workflow })).body.error).toEqual({
      type: "missing_node_type",
      message: "Node 'TiledDecode' not found. The custom node may not be installed.",
      details: "Node ID '#8'",
      extra_info: { node_id: "8", class_type: "TiledDecode", node_title: null },
    });
  });

  test("takes its position in the queue from front and number", async () => {
    let release = () => {};
    const started = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { json } = open({ onStep: () => started });
    const ids: string[] = [];
    for (const options of [{}, {}, { front: true }, { number: 0.5 }]) {
      const { body } = await json("POST", "/prompt", { prompt: textToImage({ seed: ids.length }), ...options });
      ids.push(body.prompt_id);
    }
    const { queue_running, queue_pending } = (await json("GET", "/queue")).body;
    expect(queue_running.map(([, id]: string[]) => id)).toEqual([ids[0]]);
    expect(queue_pending.map(([, id]: string[]) => id)).toEqual([ids[2], ids[3], ids[1]]);
    expect((await json("GET", "/prompt")).body).toEqual({ exec_info: { queue_remaining: 4 } });
    await json("POST", "/queue", { delete: [ids[1]] });
    expect((await json("GET", "/queue")).body.queue_pending).toHaveLength(2);
    await json("POST", "/queue", { clear: true });
    release();
    await vi.waitFor(async () => expect(Object.keys((await json("GET", "/history")).body)).toEqual([ids[0]]));
  });
});

describe("an invalid workflow", () => {
  const error = (type: string, details: unknown = expect.any(String)) => ({ type, details });

  test.each([
    ["text", "not json", "invalid_json"],
    ["an array", [], "invalid_json"],
    ["no prompt", { client_id: "c" }, "no_prompt"],
    ["a workflow that is a list", { prompt: [1] }, "invalid_prompt"],
    ["an empty workflow", { prompt: {} }, "prompt_no_outputs"],
    ["a workflow of the editor", { prompt: { nodes: [], links: [] } }, "missing_node_type"],
    ["a node that is null", { prompt: { "1": null } }, "missing_node_type"],
    ["a workflow without an output", { prompt: { "4": textToImage()["4"] } }, "prompt_no_outputs"],
  ])("gets status 400 for %s", async (_, body, type) => {
    const response = await open().json("POST", "/prompt", body);
    expect(response).toMatchObject({ status: 400, body: { error: { type, extra_info: {} }, node_errors: {} } });
  });

  test.each([
    ["a missing input", changed("3", {}, ["seed"]), "3", error("required_input_missing", "seed")],
    ["a number below the minimum", changed("3", { steps: 0 }), "3", error("value_smaller_than_min", "steps")],
    ["a number above the maximum", changed("5", { width: 1e9 }), "5", error("value_bigger_than_max", "width")],
    ["a text for a number", changed("3", { cfg: "high" }), "3", error("invalid_input_type", 'cfg, "high"')],
    ["an object for a text", changed("6", { text: {} }), "6", error("invalid_input_type", "text, {}")],
    ["an unknown choice", changed("3", { scheduler: "x" }), "3", error("value_not_in_list")],
    ["a choice that is an object", changed("3", { scheduler: { toString: 1 } }), "3", error("value_not_in_list")],
    ["a value for a link", changed("3", { model: "4" }), "3", error("bad_linked_input", "model")],
    ["a list that is not a link", changed("3", { model: ["4"] }), "3", error("bad_linked_input", "model")],
    ["a link to an unknown node", changed("3", { model: ["99", 0] }), "3", error("exception_during_validation")],
    ["a link to an unknown output", changed("3", { model: ["4", 3] }), "3", error("exception_during_validation")],
    [
      "a link to the output length",
      changed("3", { model: ["4", "length"] }),
      "3",
      error("exception_during_validation"),
    ],
    [
      "a link of the wrong type",
      changed("3", { model: ["4", 1] }),
      "3",
      error("return_type_mismatch", "model, received_type(CLIP) mismatch input_type(MODEL)"),
    ],
    ["a cycle", changed("6", { clip: ["6", 0] }), "6", error("dependency_cycle")],
  ])("names the node for %s", async (_, prompt, node, expected) => {
    const { status, body } = await open().json("POST", "/prompt", { prompt });
    expect(status).toBe(400);
    expect(body.error.type).toBe("prompt_outputs_failed_validation");
    expect(Object.keys(body.node_errors)).toEqual([node]);
    expect(body.node_errors[node]).toMatchObject({ dependent_outputs: ["9"], class_type: prompt[node].class_type });
    expect(body.node_errors[node].errors[0]).toMatchObject(expected);
  });

  test("runs the outputs that are valid and reports the others", async () => {
    const prompt = { ...textToImage(), "10": { class_type: "PreviewImage", inputs: {} } };
    const { prompt_id, node_errors, entry } = await open().run(prompt);
    expect(node_errors["10"].errors[0].type).toBe("required_input_missing");
    expect(entry.prompt[4]).toEqual(["9"]);
    expect(Object.keys(entry.outputs)).toEqual(["9"]);
    expect(prompt_id).toBeDefined();
  });

  test("names the allowed models", async () => {
    const { json } = open({ models: ["sdxl.safetensors"] });
    const { body } = await json("POST", "/prompt", { prompt: textToImage() });
    expect(body.node_errors["4"].errors[0]).toMatchObject({
      type: "value_not_in_list",
      details: "ckpt_name: 'v1-5-pruned-emaonly.safetensors' not in ['sdxl.safetensors']",
      extra_info: { input_name: "ckpt_name", received_value: "v1-5-pruned-emaonly.safetensors" },
    });
  });

  test("of 20,000 nodes in a row is validated without a stack overflow", async () => {
    const prompt = textToImage();
    for (let i = 0; i < 20_000; i++) {
      prompt[`n${i}`] = { class_type: "Pass", inputs: { model: i === 0 ? ["4", 0] : [`n${i - 1}`, 0] } };
    }
    prompt["3"].inputs.model = ["n19999", 0];
    expect((await open({ customNodes: ["Pass"] }).json("POST", "/prompt", { prompt })).status).toBe(200);
  });
});

describe("a workflow that fails", () => {
  test("for its size has the error of a GPU without memory, and draws nothing", async () => {
    const { run } = open();
    const { entry } = await run(textToImage({ side: 16_384 }));
    expect(entry.status).toMatchObject({ status_str: "error", completed: false });
    const [type, data] = entry.status.messages.at(-1);
    expect(type).toBe("execution_error");
    expect(data).toMatchObject({
      exception_type: "torch.OutOfMemoryError",
      exception_message: expect.stringContaining("4194304"),
    });
  });

  test("because of onStep or of a prefix outside the directory has an execution_error", async () => {
    const { run } = open({
      onStep: ({ step }) => {
        if (step === 2) throw new Error("the model is broken");
      },
    });
    const { entry } = await run(textToImage());
    expect(entry.status.messages.at(-1)[1]).toMatchObject({
      node_id: "3",
      node_type: "KSampler",
      exception_message: "the model is broken",
      executed: ["4", "6", "7", "5"],
    });
    for (const filename_prefix of ["../x", "/etc/x", "a/../../x", "..\\x"]) {
      const failed = await open().run(changed("9", { filename_prefix }));
      expect(failed.entry.status.messages.at(-1)[1].exception_message).toContain("outside the output folder");
    }
  });

  test("can be interrupted, and the next workflow runs", async () => {
    let steps = 0;
    const { json, run } = open({ onStep: () => (++steps === 2 ? new Promise(() => {}) : undefined) });
    const { body } = await json("POST", "/prompt", { prompt: textToImage() });
    await vi.waitFor(() => expect(steps).toBe(2));
    await json("POST", "/interrupt", { prompt_id: "another" });
    expect((await json("GET", "/queue")).body.queue_running).toHaveLength(1);
    await json("POST", "/interrupt");
    expect((await run(textToImage({ seed: 9 }))).entry.status.completed).toBe(true);
    const { status } = (await json("GET", `/history/${body.prompt_id}`)).body[body.prompt_id];
    expect(status.messages.at(-1)[0]).toBe("execution_interrupted");
  });
});

describe("the routes", () => {
  test.each([
    ["filename=", 404],
    ["filename=none.png", 404],
    ["filename=../secret", 400],
    ["filename=/etc/passwd", 400],
    ["filename=%2e%2e%2fsecret", 400],
    ["filename=x.png&subfolder=../..", 403],
    ["filename=x.png&subfolder=/etc", 403],
    ["filename=x.png&type=model", 400],
    ["filename=__proto__&subfolder=constructor", 404],
  ])("/view?%s gets status %d", async (query, status) => {
    expect((await open().view(query)).status).toBe(status);
  });

  test("are also served below /api", async () => {
    const { json } = open();
    const { body } = await json("POST", "/api/prompt", { prompt: textToImage() });
    await vi.waitFor(async () => {
      expect((await json("GET", `/api/history/${body.prompt_id}`)).body).toHaveProperty([body.prompt_id]);
    });
  });

  test("respond with an empty history for an unknown id, and with 404 for an unknown path", async () => {
    const { json, call } = open();
    for (const id of ["none", "__proto__", "%zz"]) {
      expect(await json("GET", `/history/${id}`)).toEqual({ status: 200, body: {} });
    }
    expect((await call("GET", "/models")).status).toBe(404);
    expect((await call("GET", "/prompt/x")).status).toBe(404);
  });

  test("/object_info describes the nodes", async () => {
    const { body } = await open({ customNodes: ["Mine"] }).json("GET", "/object_info");
    expect(body.KSampler.input.required.steps).toEqual(["INT", { default: 20, min: 1, max: 10000 }]);
    expect(body.SaveImage.output_node).toBe(true);
    expect(body.Mine).toBeDefined();
  });

  test("the history is limited, and the images of removed workflows are removed", async () => {
    const { json, run, view } = open({ historyLength: 2 });
    for (const seed of [1, 2, 3]) await run(textToImage({ seed }));
    expect(Object.keys((await json("GET", "/history")).body)).toHaveLength(2);
    expect(Object.keys((await json("GET", "/history?max_items=1")).body)).toHaveLength(1);
    const statuses = [1, 2, 3].map(async (n) => (await view(`filename=ComfyUI_0000${n}_.png`)).status);
    expect(await Promise.all(statuses)).toEqual([404, 200, 200]);
    await json("POST", "/history", { clear: true });
    expect((await json("GET", "/history")).body).toEqual({});
  });

  test("a workflow with the id of an earlier one replaces its history and its images", async () => {
    const { json, run, view } = open();
    const prompt_id = "__proto__";
    await json("POST", "/prompt", { prompt: textToImage({ seed: 1 }), prompt_id });
    await json("POST", "/prompt", { prompt: textToImage({ seed: 2 }), prompt_id });
    await run(textToImage({ seed: 3 }));
    const { body } = await json("GET", "/history");
    expect(Object.entries<any>(body).map(([id, { outputs }]) => [id, outputs["9"].images[0].filename])).toEqual([
      [prompt_id, "ComfyUI_00002_.png"],
      [expect.any(String), "ComfyUI_00003_.png"],
    ]);
    const statuses = [1, 2, 3].map(async (n) => (await view(`filename=ComfyUI_0000${n}_.png`)).status);
    expect(await Promise.all(statuses)).toEqual([404, 200, 200]);
  });

  test("a cached image stays as long as one workflow in the history has it", async () => {
    const { run, view } = open({ historyLength: 2 });
    for (let i = 0; i < 4; i++) await run(textToImage());
    expect((await view("filename=ComfyUI_00001_.png")).status).toBe(200);
  });
});

describe("options", () => {
  test.each([
    [{ stepTime: -1 }, /stepTime is -1/],
    [{ onStep: 1 }, /onStep is 1: it must be a function/],
    [{ models: "sdxl" }, /models is "sdxl": it must be a list of names/],
    [{ customNodes: [""] }, /customNodes is an array/],
    [{ historyLength: 0 }, /historyLength is 0: it must be an integer of at least 1/],
    [{ maxPixels: 0.5 }, /maxPixels is 0.5/],
    [{ now: 5 }, /now is 5/],
    [{ steptime: 5 }, /unknown option "steptime"; did you mean stepTime/],
  ])("refuses %j", (options, message) => {
    expect(() => comfyUi(options as ComfyUiOptions)).toThrow(message);
  });
});
