import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ts from "typescript";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startEmulator } from "../../../../src/emulator/index.js";
import { PredictClient, type StandardSchema } from "../../../../src/index.js";
import {
  buildCommandLine,
  type CommandLine,
  openTerminal,
  runCommand,
  runJson,
} from "../../../support/cli/command-line.js";
import { answer, MisbehavingServer } from "../../../support/misbehaving-server.js";

let commandLine: CommandLine;
let folder: string;
let server: MisbehavingServer;
beforeAll(async () => {
  commandLine = await buildCommandLine();
});
afterAll(() => commandLine.remove());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "eas-types-"));
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
  server = await MisbehavingServer.start();
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

/** Generates both files from a document, and returns them with the module. */
async function generate(document: unknown) {
  await writeFile(join(folder, "document.json"), JSON.stringify(document));
  const args = ["types", "@document.json", "--out", "service.d.ts", "--schema", "service.js"];
  const summary = await runJson(commandLine, args, { cwd: folder });
  const declarations = await readFile(join(folder, "service.d.ts"), "utf8");
  const module = (await import(/* @vite-ignore */ join(folder, "service.js"))) as Record<string, StandardSchema> & {
    operations: Record<string, { request: StandardSchema; response: StandardSchema }>;
  };
  return { summary, declarations, module };
}

/** Returns the errors of the compiler for a program that uses the generated types. */
async function compile(usage = ""): Promise<string[]> {
  const file = join(folder, "usage.ts");
  await writeFile(file, `import * as service from "./service.js";\n${usage}\nexport { service };\n`);
  const program = ts.createProgram([file], {
    strict: true,
    noEmit: true,
    exactOptionalPropertyTypes: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
    lib: ["lib.es2022.d.ts"],
    skipDefaultLibCheck: true,
  });
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}

function issuesOf(schema: StandardSchema | undefined, value: unknown): string[] {
  if (schema === undefined) throw new Error("the module does not have this schema");
  const { issues = [] } = schema["~standard"].validate(value) as {
    issues?: { path: PropertyKey[]; message: string }[];
  };
  return issues.map(({ path, message }) => `${path.join(".")} ${message}`);
}

const API = {
  openapi: "3.1.0",
  paths: {
    "/embed": {
      post: {
        summary: "Embeds texts.",
        requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/EmbedRequest" } } } },
        responses: {
          "200": { content: { "application/json": { schema: { $ref: "#/components/schemas/EmbedResponse" } } } },
          "422": { content: { "application/json": { schema: { $ref: "#/components/schemas/HTTPValidationError" } } } },
        },
      },
    },
    "/health": { get: { responses: { "200": { description: "ok" } } } },
  },
  components: {
    schemas: {
      EmbedRequest: {
        type: "object",
        required: ["input"],
        properties: {
          input: { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" }, minItems: 1 }] },
          dimensions: {
            anyOf: [{ type: "integer", minimum: 1 }, { type: "null" }],
            description: "Number of dimensions.",
          },
          encoding: { enum: ["float", "base64"], default: "float" },
          "user-id": { type: "string", nullable: true },
        },
      },
      EmbedResponse: {
        allOf: [
          { $ref: "#/components/schemas/Base" },
          {
            type: "object",
            required: ["data"],
            properties: { data: { type: "array", items: { type: "array", items: { type: "number" } } } },
          },
        ],
      },
      Base: { type: "object", required: ["model"], properties: { model: { type: "string" } } },
      HTTPValidationError: { type: "object", additionalProperties: false, properties: { detail: {} } },
    },
  },
};

describe("eas-prediction types", () => {
  test("writes types of an OpenAPI document that compile", async () => {
    const { summary, declarations } = await generate(API);
    expect(summary).toMatchObject({
      form: "openapi",
      files: ["service.d.ts", "service.js"],
      types: ["EmbedRequest", "EmbedResponse", "HTTPValidationError", "Base"].sort(
        (a, b) => summary.types.indexOf(a) - summary.types.indexOf(b),
      ),
      operations: ["POST /embed", "GET /health"],
    });
    expect(declarations).toContain("/** Number of dimensions. */\n  dimensions?: number | null;");
    expect(declarations).toContain('"user-id"?: string | null;');
    expect(
      await compile(`
        const request: service.EmbedRequest = { input: ["a"], encoding: "float", dimensions: null };
        const response: service.Operations["POST /embed"]["response"] = { model: "m", data: [[1, 2]] };
        const schema: service.StandardSchema<service.EmbedResponse> = service.EmbedResponseSchema;
        const same: typeof schema = service.operations["POST /embed"].response;
        const none: null = null as service.Operations["GET /health"]["request"];
        export { request, response, same, none };`),
    ).toEqual([]);
  });

  test("writes types that refuse invalid values", async () => {
    await generate(API);
    expect(await compile('export const request: service.EmbedRequest = { input: 1, encoding: "utf8" };')).toEqual([
      expect.stringContaining("Type 'number' is not assignable to type 'string | string[]'"),
      expect.stringContaining(`Type '"utf8"' is not assignable`),
    ]);
  });

  test("writes schemas that accept valid values and name the place of invalid values", async () => {
    const { module } = await generate(API);
    expect(issuesOf(module.EmbedRequestSchema, { input: "a", "user-id": null, more: 1 })).toEqual([]);
    expect(issuesOf(module.EmbedRequestSchema, { input: [], encoding: "x", dimensions: 0.5 })).toEqual([
      "input matches none of the 2 alternatives",
      "dimensions matches none of the 2 alternatives",
      'encoding must be one of "float", "base64"',
    ]);
    expect(issuesOf(module.EmbedRequestSchema, { input: ["a", 1] })).toEqual(["input.1 must be a string"]);
    expect(issuesOf(module.operations["POST /embed"]?.response, { data: [[1, "x"]] })).toEqual([
      "model is missing",
      "data.0.1 must be a number",
    ]);
    expect(issuesOf(module.HTTPValidationErrorSchema, { detail: 1, more: 2 })).toEqual(["more is not allowed"]);
    for (const value of [null, 1, "x", [], undefined]) {
      expect(issuesOf(module.BaseSchema, value)).toEqual([" must be an object"]);
    }
  });

  test("writes schemas that client.json() accepts", async () => {
    const { module } = await generate(API);
    const client = new PredictClient({ endpoint: server.origin, serviceName: "svc", retryCount: 0 });
    server.play(answer(200, {}, '{"model":"m","data":[[1]]}'), answer(200, {}, '{"model":"m"}'));
    const schema = module.EmbedResponseSchema as StandardSchema;
    expect(await client.json({ input: "a" }, { schema })).toEqual({ model: "m", data: [[1]] });
    await expect(client.json({ input: "a" }, { schema })).rejects.toMatchObject({ code: "ERR_EAS_SCHEMA" });
    await client.close();
  });

  test("keeps names and texts of a hostile document inside names and comments", async () => {
    const text = "*/ export const injected = 1; /*\n\u2028*/ declare global {} // @ts-nocheck";
    const hostile = {
      openapi: "3.0.0",
      paths: { '/a": never }; export const injected = 1; //': { get: { description: text, responses: {} } } },
      components: {
        schemas: {
          "A; export const injected = 1; type B": {
            type: "object",
            description: text,
            properties: { 'x": 1; "y': { description: text } },
          },
          "A_ export const injected _ 1_ type B": { type: "string" },
          string: {
            type: "object",
            required: ["__proto__"],
            properties: JSON.parse('{"__proto__":{"type":"string"},"constructor":{"type":"number"}}'),
          },
          class: { enum: ["`$" + "{process.exit(1)}`", '"); process.exit(1); ("', "\u2028", "</script>"] },
          "1/2~3": { type: "integer" },
          "": {},
          中文: { type: "boolean" },
          Operations: { type: "string" },
          StandardSchema: { $ref: "#/components/schemas/中文" },
        },
      },
    };
    const { declarations, module } = await generate(hostile);
    expect(await compile()).toEqual([]);
    expect(Object.keys(module)).not.toContain("injected");
    expect(declarations).not.toMatch(/@ts-|\u2028/);
    expect(await compile("export const x = service.injected;")).toEqual([
      expect.stringContaining("'injected' does not exist"),
    ]);
    expect(issuesOf(module.string_Schema, JSON.parse('{"__proto__":"own"}'))).toEqual([]);
    expect(issuesOf(module.string_Schema, {})).toEqual(["__proto__ is missing"]);
    expect(issuesOf(module.StandardSchema_Schema, 1)).toEqual([" must be a boolean"]);
    expect(issuesOf(module.class_Schema, "\u2028")).toEqual([]);
  });

  test("follows recursive types, and cuts types that consist only of themselves", async () => {
    const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
    const { module } = await generate({
      openapi: "3.1.0",
      components: {
        schemas: {
          Tree: {
            type: "object",
            required: ["children"],
            properties: { children: { type: "array", items: ref("Tree") } },
          },
          Json: {
            anyOf: [
              { type: "string" },
              { type: "array", items: ref("Json") },
              { type: "object", additionalProperties: ref("Json") },
            ],
          },
          Self: ref("Self"),
          Ping: { anyOf: [ref("Pong"), { type: "string" }] },
          Pong: { allOf: [ref("Ping")] },
          Missing: ref("Nothing"),
          Foreign: { $ref: "https://example.com/schema.json" },
        },
      },
    });
    expect(await compile("export const tree: service.Tree = { children: [{ children: [] }] };")).toEqual([]);
    expect(issuesOf(module.TreeSchema, { children: [{ children: [{}] }] })).toEqual([
      "children.0.children.0.children is missing",
    ]);
    expect(issuesOf(module.JsonSchema, { a: ["b", { c: "d" }] })).toEqual([]);
    expect(issuesOf(module.SelfSchema, 1)).toEqual([]);
    expect(issuesOf(module.PingSchema, "x")).toEqual([]);
  });

  test("ends the validation of a value that is nested deeply, and of alternatives that multiply", async () => {
    const { module } = await generate({
      openapi: "3.1.0",
      components: {
        schemas: {
          Bomb: { anyOf: [...Array(2)].map(() => ({ type: "array", items: { $ref: "#/components/schemas/Bomb" } })) },
        },
      },
    });
    let value: unknown = 1;
    for (let depth = 0; depth < 40; depth++) value = [value];
    expect(issuesOf(module.BombSchema, value).length).toBeGreaterThan(0);
    for (let depth = 0; depth < 100_000; depth++) value = [value];
    expect(issuesOf(module.BombSchema, value).length).toBeGreaterThan(0);
  });

  test.each([
    [
      "nests schemas more than 64 levels",
      () => `{"openapi":"3.1.0","components":{"schemas":{"A":${'{"items":'.repeat(1_000)}{}${"}".repeat(1_000)}}}}`,
    ],
    [
      "has more than 50000 schemas",
      () =>
        JSON.stringify({
          openapi: "3.1.0",
          components: {
            schemas: { A: { properties: Object.fromEntries([...Array(50_001)].map((_, index) => [`p${index}`, {}])) } },
          },
        }),
    ],
    ["has more than 10485760 bytes", () => " ".repeat(10_485_761)],
    ["is not JSON", () => "<html>"],
    ["neither OpenAPI 3, nor KServe", () => '{"swagger":"2.0"}'],
    ["has a tensor without name", () => '{"inputs":[{"datatype":"FP32"}],"outputs":[]}'],
  ])("refuses a document that %s", async (message, document) => {
    const { stderr, stdout, exitCode } = await runCommand(commandLine, ["types", "-"], { input: document() });
    expect(stderr).toContain(message);
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 1 });
  });

  test("reads the metadata of a KServe model", async () => {
    const { module, declarations } = await generate({
      name: "resnet",
      versions: ["1"],
      platform: "onnxruntime_onnx",
      inputs: [{ name: "data", datatype: "FP32", shape: ["-1", "3"] }],
      outputs: [{ name: "labels", datatype: "BYTES", shape: [-1] }],
    });
    expect(declarations).toContain('"POST /v2/models/resnet/infer": {');
    const request = { inputs: [{ name: "data", datatype: "FP32", shape: [1, 3], data: [1, 2, 3] }] };
    expect(await compile(`export const request: service.InferRequest = ${JSON.stringify(request)};`)).toEqual([]);
    expect(issuesOf(module.InferRequestSchema, request)).toEqual([]);
    expect(issuesOf(module.InferRequestSchema, { inputs: [{ ...request.inputs[0], shape: [1, 4] }] })).toEqual([
      "inputs.0.shape.1 must be one of 3",
    ]);
    expect(
      issuesOf(module.InferResponseSchema, {
        model_name: "resnet",
        outputs: [{ name: "labels", datatype: "BYTES", shape: [1], data: [1] }],
      }),
    ).toEqual(["outputs.0.data.0 must be a string"]);
  });

  test("reads the signature of a TensorFlow service, for tensors of the package", async () => {
    const emulator = await startEmulator();
    const args = ["types", "-e", emulator.endpoint, "-s", "digits", "--token", emulator.token];
    const { stdout, stderr } = await runCommand(commandLine, [...args, "--schema", "service.js"], { cwd: folder });
    expect(stderr).toBe("");
    expect(stdout).toBe("wrote service.d.ts and service.js: 3 types, 0 operations\n");
    expect(await readFile(join(folder, "service.d.ts"), "utf8")).toContain("/** DT_FLOAT [-1, 64] */\n  images: {");
    const usage =
      'export const inputs: service.Inputs = { images: { dtype: "DT_FLOAT", shape: [1, 64], data: new Float32Array(64) } };';
    expect(await compile(usage)).toEqual([]);
    await emulator.close();
  });

  test("asks a service for /openapi.json, and prints the types in a pipe", async () => {
    server.play(answer(200, {}, JSON.stringify(API)));
    const { stdout, exitCode } = await runCommand(commandLine, ["types", server.origin, "--token", "secret"]);
    expect(stdout).toMatch(
      /^\/\/ Generated by `eas-prediction types`\. Do not edit\.\n\nexport type EmbedRequest = \{\n/,
    );
    expect(exitCode).toBe(0);
    expect(server.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(["GET /openapi.json"]);
    expect(server.requests[0]?.headers.authorization).toBe("secret");
  });

  test("asks for the metadata of a model with --model, and for a document with its own URL", async () => {
    const metadata = '{"name":"m/1","inputs":[],"outputs":[{"name":"a","datatype":"BOOL","shape":[1]}]}';
    server.always(answer(200, {}, metadata));
    await runCommand(commandLine, ["types", server.origin, "--model", "m/1"]);
    await runCommand(commandLine, ["types", `${server.origin}/api/v2/models/m`]);
    await runCommand(commandLine, ["types", `${server.origin}/docs/api.json?v=1`]);
    expect(server.requests.map(({ path }) => path)).toEqual([
      "/v2/models/m%2F1",
      "/api/v2/models/m",
      "/docs/api.json?v=1",
    ]);
  });

  test("explains a service without a description, a refused token and a redirect", async () => {
    server.always(answer(404, {}, "not found"));
    const missing = await runCommand(commandLine, ["types", server.origin]);
    expect(missing.stderr).toMatch(
      /^error: the service does not describe its types: tried \/openapi\.json, the address itself\. .*--model/,
    );
    server.always(answer(401, {}, "no"));
    const refused = await runCommand(commandLine, ["types", server.origin, "--token", "secret"]);
    expect(refused.stderr).toContain("returned 401");
    expect(refused.stderr).not.toContain("secret");
    const other = await MisbehavingServer.start();
    server.always(answer(302, { Location: other.origin }));
    const redirected = await runCommand(commandLine, ["types", server.origin, "--token", "secret"]);
    expect(redirected.stderr).toContain("302");
    expect(other.connections).toBe(0);
    await other.close();
    expect([missing, refused, redirected].map(({ exitCode }) => exitCode)).toEqual([1, 1, 1]);
  });

  test.each([
    [["--out", "types.ts"], "must end with .d.ts"],
    [["--schema", "types.ts"], "must end with .js"],
    [["--schema", "a.js", "--out", "b.d.ts"], "TypeScript reads a.d.ts"],
    [["--out", "missing/a.d.ts"], "cannot be written"],
  ])("refuses %j with exit code 2", async (args, message) => {
    const run = await runCommand(commandLine, ["types", "-", ...args], { input: JSON.stringify(API), cwd: folder });
    expect(run.stderr).toContain(message);
    expect(run.exitCode).toBe(2);
  });

  test.each([100, 40])("prints a summary in a terminal of %i columns", async (columns) => {
    await writeFile(join(folder, "api.json"), JSON.stringify(API));
    const session = openTerminal(commandLine, ["types", "@api.json", "--out", "a.d.ts"], {
      cwd: folder,
      columns,
      env: { NO_COLOR: "1" },
    });
    expect(await session.exitCode).toBe(0);
    expect(session.screen().replaceAll("\n", "")).toBe("wrote a.d.ts: 4 types, 2 operations");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the test looks for colors.
    expect(session.raw()).not.toMatch(/\x1b\[3\dm/);
  });
});
