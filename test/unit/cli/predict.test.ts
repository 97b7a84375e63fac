import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { PNG } from "pngjs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { heldOutDigits, type RunningEmulator, startEmulator } from "../../../src/emulator/index.js";
import {
  buildCommandLine,
  type CommandLine,
  ended,
  firstLine,
  openTerminal,
  runCommand,
  runJson,
  startCommand,
} from "../../support/cli/command-line.js";

let commandLine: CommandLine;
let emulator: RunningEmulator;
let folder: string;
beforeAll(async () => {
  commandLine = await buildCommandLine();
  folder = dirname(commandLine.file);
  await writeFile(join(folder, "digit.png"), pngOf(8, 8, heldOutDigits.images[0] as number[]));
  await writeFile(join(folder, "large.png"), pngOf(10, 10, Array(100).fill(7)));
  await writeFile(join(folder, "digit.npy"), npyOf("<f4", "(1, 64)", Float32Array.from(heldOutDigits.images[0]!)));
});
afterAll(() => commandLine.remove());
beforeEach(async () => {
  emulator = await startEmulator({
    services: {
      binary: () => Uint8Array.of(0xff, 0, 1),
      big: () => '{\n  "id": 9007199254740993\n}',
      hostile: () => "a\x1b]0;title\x07b\x1b[2Jc",
      events: () =>
        new Response("event: a\ndata: 1\n\ndata: 2\n\n", { headers: { "content-type": "text/event-stream" } }),
      endless: ({ signal }) =>
        new Response(
          new ReadableStream({
            start: (controller) => {
              controller.enqueue(new TextEncoder().encode("first\n"));
              signal.addEventListener("abort", () => controller.error(new Error("left")));
            },
          }),
        ),
    },
  });
});
afterEach(() => emulator.close());

/** A gray PNG with ink from 0 to 16. */
function pngOf(width: number, height: number, ink: readonly number[]): Buffer {
  const png = new PNG({ width, height });
  for (const [i, value] of ink.entries()) png.data.set([...Array(3).fill((value * 255) / 16), 255], i * 4);
  return PNG.sync.write(png);
}

function npyOf(descr: string, shape: string, data: NodeJS.ArrayBufferView, fortran = "False"): Buffer {
  const header = `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`.padEnd(117);
  const start = Buffer.from([0x93, ...Buffer.from("NUMPY"), 1, 0, 118, 0]);
  return Buffer.concat([start, Buffer.from(`${header}\n`), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
}

const target = (service: string) => ["-s", service, "-e", emulator.endpoint, "--token", emulator.token];
const predict = (service: string, args: readonly string[], input?: string | Uint8Array) =>
  runCommand(commandLine, ["predict", ...args, ...target(service)], {
    cwd: folder,
    ...(input !== undefined && { input }),
  });
const lastRequest = () => emulator.requests.at(-1);

describe("eas-prediction predict", () => {
  test("sends text, a file and standard input", async () => {
    await writeFile(join(folder, "body.csv"), "a,b\n");
    expect(await predict("echo", ["hello"])).toEqual({ stdout: "hello\n", stderr: "", exitCode: 0 });
    expect((await predict("echo", ["@body.csv"])).stdout).toBe("a,b\n");
    expect(lastRequest()?.headers.get("content-type")).toBe("text/csv");
    expect((await predict("echo", ["-"], "piped")).stdout).toBe("piped\n");
  });

  test.each([
    [['{"a":1}'], "application/json"],
    [["[1]", "--content-type", "text/x-list"], "text/x-list"],
    [["5", "--json-body"], "application/json"],
    [["@digit.png"], "image/png"],
  ])("sends %j as %s", async (args, type) => {
    expect((await predict("echo", args)).exitCode).toBe(0);
    expect(lastRequest()?.headers.get("content-type")).toBe(type);
  });

  test("sends a path, a method and headers", async () => {
    const { stdout } = await predict("llm", ["--method", "GET", "--path", "/v1/models", "-H", "x-user: 42"]);
    expect(JSON.parse(stdout).data[0].id).toBe("eas-ngram");
    expect(lastRequest()?.method).toBe("GET");
    expect(lastRequest()?.headers.get("x-user")).toBe("42");
  });

  test("keeps all digits of large integers with --json", async () => {
    const { stdout } = await predict("big", ["x", "--json"]);
    expect(stdout).toContain('"json":{ "id": 9007199254740993 }');
    expect(JSON.parse(stdout)).toMatchObject({ status: 200, attempts: 1 });
  });

  test("writes binary responses to a pipe or a file, but not to a terminal", async () => {
    const output = join(folder, "out.bin");
    expect((await predict("binary", ["x", "-o", output])).exitCode).toBe(0);
    expect([...(await readFile(output))]).toEqual([0xff, 0, 1]);
    const session = openTerminal(commandLine, ["predict", "x", ...target("binary")], { columns: 200 });
    expect(await session.exitCode).toBe(1);
    expect(session.screen()).toContain("write it to a file with --output");
  });

  test("removes control characters of a response in a terminal, and keeps them in a pipe", async () => {
    const session = openTerminal(commandLine, ["predict", "x", ...target("hostile")], { env: { NO_COLOR: "1" } });
    expect(await session.exitCode).toBe(0);
    expect(session.raw()).not.toContain("\x1b]0;");
    expect(session.raw()).toContain("a]0;titleb[2Jc");
    expect((await predict("hostile", ["x"])).stdout).toBe("a\x1b]0;title\x07b\x1b[2Jc\n");
  });

  test("prints a stream while it arrives and ends with 130 after an interrupt", async () => {
    const child = startCommand(commandLine, ["predict", "x", "--stream", ...target("endless")]);
    expect(await firstLine(child.stdout)).toBe("first");
    child.kill("SIGINT");
    await ended(child);
    expect(child.exitCode).toBe(130);
  });

  test("ends with 0 if the reader of a stream closes the pipe", async () => {
    const child = startCommand(commandLine, ["predict", "-", "--stream", ...target("echo")]);
    child.stdin.end("x".repeat(1_000_000));
    child.stdout.once("data", () => child.stdout.destroy());
    await new Promise((resolve) => child.once("exit", resolve));
    expect(child.exitCode).toBe(0);
  });

  test("prints one line for each event of a stream with --json", async () => {
    const { stdout } = await predict("events", ["x", "--stream", "--json"]);
    const events = stdout.trim().split("\n");
    expect(events.map((line) => JSON.parse(line))).toMatchObject([{ event: "a", data: "1" }, { data: "2" }]);
  });

  test.each([
    [[], "the input is missing"],
    [["x", "--tensor", "a=1"], "--tensor cannot be combined with an input"],
    [["--tensor", "a=1", "--stream"], "--stream cannot be combined with --tensor"],
    [["--tensor", "a=1", "-o", "out.txt"], "tensors can be written to a .npy or a .json file"],
    [["x", "--select", "a"], "--select needs --tensor"],
    [["{", "--json-body"], "--json-body: the input is not valid JSON"],
    [["@missing.png"], "missing.png cannot be read: ENOENT"],
    [["x", "-o", "no/such/folder/file"], "--output no/such/folder/file cannot be written: ENOENT"],
    [["--tensor", "=1"], '--tensor "=1" has no name'],
    [["--tensor", "a=1:DT_FLOTE"], 'dtype "DT_FLOTE" is unknown: it must be one of DT_FLOAT, '],
    [["--tensor", "a=one"], '"one" is not a number: for text, add :DT_STRING'],
    [["--tensor", "a=1,2,3:2"], "shape [2] has 2 elements, but the content has length 3"],
    [["--tensor", "a=[[1,2],[3]]"], "shape [2, 2] has 4 elements, but the content has length 3"],
    [["--tensor", "a=1", "--format", "torch", "--fetch", "y"], "the format torch identifies outputs by position"],
    [["--tensor", "a=1", "--format", "onnx", "--fetch", "y"], "--fetch: the format onnx returns all outputs"],
    [["--tensor", "a=1", "--format", "torch", "--signature", "s"], "--signature needs --format tf or blade"],
    [["--tensor", "a=@large.png:1,64"], "large.png is 10 x 10 pixels, but the shape needs 64 values"],
    [["--tensor", "a=@large.png:1,3,8,9"], "large.png is 10 x 10 pixels, but the shape [1, 3, 8, 9] needs 9 x 8"],
    [["--tensor", "a=@large.png:2,7,8,8"], "the shape [2, 7, 8, 8] is not that of an image"],
  ])("refuses %j with exit code 2", async (args, message) => {
    const { stdout, stderr, exitCode } = await predict("echo", args);
    expect(stderr).toContain(message);
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 2 });
    expect(emulator.requests).toEqual([]);
  });

  test("explains a failed request without the token", async () => {
    const { stderr, exitCode } = await predict("missing", ["x"]);
    expect(stderr).toMatch(/^error: .*404/);
    expect(stderr).not.toContain(emulator.token);
    expect(exitCode).toBe(1);
  });
});

describe("eas-prediction predict --tensor", () => {
  const image = ["-t", "images=@digit.png:1,64:DT_FLOAT", "--scale", "16/255"];

  test("classifies a PNG and prints the outputs as a table and as JSON", async () => {
    const { stdout } = await predict("digits", [...image, "--fetch", "labels", "--signature", "predict_images"]);
    expect(stdout).toBe(`output  dtype     shape  values\nlabels  DT_INT64  [1]    ${heldOutDigits.labels[0]}\n`);
    const { outputs } = await runJson(commandLine, ["predict", ...image, ...target("digits")], { cwd: folder });
    expect(outputs.labels).toEqual({ dtype: "DT_INT64", shape: [1], data: [String(heldOutDigits.labels[0])] });
    expect(outputs.scores.data).toHaveLength(10);
  });

  test.each([
    ["tf", "images", "labels", "[1]"],
    ["torch", "0", "1", "[1]"],
    ["blade", "images", "labels", "[1]"],
    ["onnx", "images", "labels", "[1]"],
    ["caffe", "images", "labels", "[1]"],
  ])("sends a .npy file in the format %s", async (format, input, select, shape) => {
    const args = ["-t", `${input}=@digit.npy`, "--format", format, "--select", select];
    const { stdout, stderr } = await predict("digits", args);
    expect(stderr).toBe("");
    expect(stdout).toContain(shape);
    expect(stdout.trim().split(/\s+/).at(-1)).toBe(String(heldOutDigits.labels[0]));
  });

  test("sends numbers of an argument and of a JSON file", async () => {
    const values = heldOutDigits.images[0] as number[];
    await writeFile(join(folder, "digit.json"), JSON.stringify([values]));
    for (const argument of [`images=${values.join(",")}:-1,64`, "images=@digit.json"]) {
      const { stdout } = await predict("digits", ["-t", argument, "--select", "labels"]);
      expect(stdout).toContain(`DT_INT64  [1]    ${heldOutDigits.labels[0]}`);
    }
  });

  test("resizes an image with --fit", async () => {
    const args = ["-t", "images=@large.png:1,64", "--fit", "fill"];
    expect((await predict("digits", args)).exitCode).toBe(0);
  });

  test("writes an output to a .npy file", async () => {
    const output = join(folder, "scores.npy");
    expect(await predict("digits", [...image, "--select", "scores", "-o", output])).toMatchObject({ stdout: "" });
    const file = await readFile(output);
    expect(file.subarray(0, 128).toString("latin1")).toContain(
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 10), }",
    );
    expect(file.length).toBe(128 + 40);
    expect((await predict("digits", ["-t", `x=@${output}`])).stderr).toContain('the input must be named "images"');
  });

  test("refuses to write several outputs to one .npy file", async () => {
    const { stderr, exitCode } = await predict("digits", [...image, "-o", "all.npy"]);
    expect(stderr).toContain("choose one with --select: scores, labels");
    expect(exitCode).toBe(1);
  });

  test("fits a terminal of 40 columns", async () => {
    const session = openTerminal(commandLine, ["predict", ...image, ...target("digits")], { columns: 40, cwd: folder });
    expect(await session.exitCode).toBe(0);
    expect(session.screen()).toContain("DT_INT64");
  });
});
