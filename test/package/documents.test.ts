import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
// Inside the package, so that its name resolves to the built package.
const folder = `${root}test/.tmp/documents`;

/** Compiler options that only remove types. */
const OPTIONS: ts.CompilerOptions = { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext };

/** The output of each snippet, by document and heading. */
const EXPECTED: Readonly<Record<string, Readonly<Record<string, readonly RegExp[]>>>> = {
  "README.md": {
    "eas-prediction": [/^\[ { age: 42, income: 50000 } \]\n$/],
    "Language models": [/^\p{Script=Han}[^\n]+$/u],
    "Asynchronous jobs": [/^{ prompt: 'a cat' }\n$/],
    Tensors: [/^\[ 1, 10 \] Float32Array\(10\) \[/],
    "Web pages": [/^$/],
  },
  "docs/calls.md": {
    "Text and JSON": [/^\[ { fea1: 1, fea2: 2 } \]\ntext of any kind\n$/],
    "Checked responses": [/^malignant\n\[ 0, 'label' \] malignant\n$/],
    "One call": [/^hello 200 1 [\d.]+\nERR_EAS_HTTP POST .* returned 404: .*\nthe service responds/],
    Compression: [/^10000 bytes\nsnappy 10000 bytes true\nlz4-frame 10000 bytes true\nzstd 10000 bytes true\ntrue\n$/],
    Setters: [/^\[{"fea1": 1, "fea2": 2}\]\n$/],
  },
  "docs/connections.md": {
    "Direct connection to the instances": [/^2 false\n$/],
    "Proxies, certificates and other connections": [/^over my own pool\nover fetch\n$/],
  },
  "docs/errors.md": {
    Errors: [/^401 the token is missing, wrong or belongs to another service/],
  },
  "docs/find-service.md": {
    "A client by name": [/^echo Running\nhello\n$/],
    "All services in a region": [/^scorecard Running\n$/],
  },
  "docs/jobs.md": {
    "ComfyUI in five minutes": [/^(?:0 requests ahead\n)?(?:running\n)?done\nsaved ComfyUI_00001_.png of job_001\n$/],
    "Stable Diffusion": [/^job_002 1\n$/],
    "Results in another process": [/^{ n: 1 } TFResponse\n$/],
    "One call that survives a crash": [/^{ prompt: 'a cat' } 0\n$/],
  },
  "docs/queues.md": {
    Queues: [/^bigint hello\n{ n: 1 } true\n0\n$/],
    Watching: [/^first: string 0\nreceived: 100\n$/],
    Workers: [/^10 0\n$/],
    "Asynchronous inference": [/^done\n{ prompt: 'a cat' } 42\n$/],
  },
  "docs/workers.md": {
    "A complete worker": [
      /^{ handled: 2, failed: 2, deadLettered: 1 }\n\[ 'a cat.png', 'a dog.png' \]\npoison 2 Error: cannot render, attempt 2\n$/,
    ],
    "Failed items": [/^1 EasDecodeError: the item N of 8 bytes is not JSON\n$/],
    "Metrics and logs": [/^$/],
  },
  "docs/tensors.md": {
    TensorFlow: [/^\[ 1, 10 \] 7\n$/],
    PyTorch: [/^\[ 1, 10 \] \[ 7 \]\n$/],
    Blade: [/^\[ 1 \] BigInt64Array\(1\) \[ 7n \]\n$/],
    "Blade with the methods of TensorFlow": [/^\[ 1 \] \[ 7 \]\n$/],
    Caffe: [/^\[ 1 \] Float32Array\(1\) \[ 7 \]\n$/],
    "ONNX, and half floats": [
      /^\[ 'scores', 'labels' \] \[ 1 \] \[ 7 \]\n19 Float32Array\(2\) \[ 0.0999755859375, 65504 \]\n$/,
    ],
    EasyRec: [/^1 false\n7 true\n9 false\nOK \[ 3 \]\n$/],
    TorchEasyRec: [/^7\n$/],
    "Rows of features as JSON, for PMML": [/^malignant true\n$/],
    "Bytes, and messages of your own": [/^Uint8Array\(3\) \[ 1, 2, 3 \]\n\[ \dn \]\n$/],
  },
  "docs/testing.md": {
    "In memory": [/^POST \/api\/predict\/classifier 200\n$/],
    Faults: [/^42 3 3\n$/],
    "Real sockets": [/^200 hello 1\n$/],
    Clocks: [/^ERR_EAS_TIMEOUT\n$/],
    "Queues and jobs": [/^1 1 1\n$/],
    "Language models": [/^ERR_EAS_STREAM true\n$/],
    "ComfyUI and Stable Diffusion": [/^0 36\nComfyUI_00001_.png Uint8Array\(3\) \[ 80, 78, 71 \]\n$/],
    "Recorded sessions": [/^hello\nhello\n$/],
    Replay: [/^the body differs at byte 6: "{\\"id\\":2}", recorded "{\\"id\\":1}"\ntime for 8 bytes 2\n$/],
    vitest: [/Tests +1 passed/],
    "node:test": [/^# pass 1$/m],
  },
  "docs/streaming.md": {
    "Bytes, lines and text": [/^200 一\n200 二\n200 三\nthe user left\n$/],
    "Tokens of a language model": [/^\p{Script=Han}[^\n]+\n\p{Script=Han}[^\n]+\n$/u],
  },
  "docs/llm.md": {
    "From the console to a streamed response": [/^eas-ngram\n\p{Script=Han}[^\n]+\n$/u],
    "Whole responses": [/^\p{Script=Han}[^\n]+\n2 1\n$/u],
    "Reasoning and tools": [/^get_weather {"city":"Hangzhou"}\ntrue\ntrue\n$/],
    "The npm package openai": [/^eas-ngram\n\p{Script=Han}[^\n]+\n$/u],
    "Files and batches": [/^completed 2\n$/],
    "The npm package @anthropic-ai/sdk": [/^\p{Script=Han}[^\n]+\n$/u],
    "The AI SDK": [/^\p{Script=Han}[^\n]+ true\n2\n$/u],
    "Any other library, and client.fetch": [/^200 1\nERR_EAS_ARG_PATH\n$/],
    "Long responses": [/^true\n$/],
    "In the emulator": [/^Bad Request\n$/],
  },
  "docs/environment.md": {
    "Environment variables": [/^hello\n$/],
  },
  "docs/console.md": {
    "In your own program": [/^Open http:\/\/127\.0\.0\.1:\d+\/#[\da-f-]{36}\n$/],
  },
  "docs/dev-servers.md": {
    Vite: [/^true\n$/],
    "Next.js": [/^$/],
  },
  "docs/sockets.md": {
    "A conversation": [/^不亦说乎？有朋自 { code: 1000, reason: '' }\n$/],
    "How it ends": [/^4000 no sugar false\n$/],
    "In web pages": [/^v1 Uint8Array\(3\) \[ 1, 2, 3 \]\n$/],
  },
  "docs/cold-start.md": {
    "The gateway refuses requests": [/^\d s: no healthy upstream\nready after 2 requests\n\d s: empty 404\nhello\n$/],
    "The gateway holds requests": [/^5\ntrue\n$/],
  },
  "docs/relay.md": {
    "One service": [/^true text\/event-stream.*\n403 {"error":"this relay does not allow POST on this path"}\n$/],
    "Several services, and queues": [/^A CAT\n$/],
    "Where it runs": [/^$/],
  },
  "docs/batches.md": {
    "Three requests": [/^\[ 1, 2, 3 \]\n1 of 2, 0 failed\n2 of 2, 1 failed\n\[ 'fulfilled', 'rejected' \]\n$/],
    "Results as they arrive": [/^request \d+ failed: EasHttpError\ntrue\n$/],
    "A million rows from a file": [/^1200 1801\n3000\n$/],
  },
  "docs/inputs.md": {
    "Decoded pixels": [/^DT_FLOAT \[ 1, 1, 8, 8 \]\n7 7\n$/],
    "What models want": [/^DT_FLOAT \[ 2, 3, 224, 224 \] 1204224\n-104 -123\nDT_UINT8 \[ 1, 640, 640, 3 \] 114\n$/],
    "Upload progress": [/^ERR_EAS_UNSUPPORTED 0\n$/],
  },
  "docs/speed.md": {
    "Large tensors": [/^\[ 1000, 10 \]\n$/],
  },
  "docs/telemetry.md": {
    Hooks: [
      /^start predict POST \/api\/predict\/echo\nretry 1 ERR_EAS_HTTP 503\nresponse 2 200 5 5 true\nstart predict POST \/api\/predict\/missing\nerror 1 ERR_EAS_HTTP\n$/,
    ],
    Logger: [/^debug POST http:\/\/127.0.0.1…api\/predict\/echo \(attempt 1\): 200, 5 bytes after …\n$/],
    OpenTelemetry: [
      /^POST in predict echo 503\nPOST in predict echo 200\npredict echo in my work undefined\nmy work in undefined undefined\n$/,
    ],
  },
};

/** Headings of README whose snippets call a service, with the emulated service that responds to them. */
const SERVICES: Readonly<Record<string, string>> = {
  "eas-prediction": "/api/predict/echo",
  "Language models": "/api/predict/llm",
  "Asynchronous jobs": "",
  Tensors: "/api/predict/digits",
  "Web pages": "/api/predict/llm",
};
/** Headings whose snippets need a test runner, with the arguments of Node. The path of the snippet follows. */
const RUNNERS: Readonly<Record<string, readonly string[]>> = {
  vitest: [`${root}node_modules/vitest/vitest.mjs`, "run", "--root", folder],
  "node:test": ["--test-reporter=tap"],
};
/** Heading of README whose snippet starts a server, which a separate test stops. */
const SERVER = "No account? Start the emulator";

/** The environment without the variables of this test runner, which would change another run of it. */
const ENVIRONMENT = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(VITEST|TEST$|NODE_TEST_CONTEXT)/.test(name)),
  ),
  NO_COLOR: "1",
};

const documents = ["README.md", ...readdirSync(`${root}docs`).map((name) => `docs/${name}`)];

interface Snippet {
  readonly heading: string;
  /** Index of the snippet under its heading, from 0. */
  readonly index: number;
  readonly language: string;
  readonly code: string;
}

function snippetsOf(document: string): Snippet[] {
  const text = readFileSync(root + document, "utf8");
  const snippets: Snippet[] = [];
  let heading = "";
  for (const [, title, language, code] of text.matchAll(/^#{1,3} (.+)$|^```(js|cjs|ts)\n([\s\S]*?)^```/gm)) {
    if (title !== undefined) heading = title;
    else {
      const index = snippets.filter((snippet) => snippet.heading === heading).length;
      snippets.push({ heading, index, language: language as string, code: code as string });
    }
  }
  return snippets;
}

/** Writes a snippet as a module inside the package, and returns its path. */
function moduleOf(document: string, { heading, index, language, code }: Snippet): string {
  const name = `${document}-${heading}-${index}`.replace(/\W+/g, "-");
  const suffix = heading in RUNNERS ? ".test" : "";
  const file = `${folder}/${name}${suffix}.${language === "cjs" ? "cjs" : "mjs"}`;
  writeFileSync(file, language === "ts" ? ts.transpileModule(code, { compilerOptions: OPTIONS }).outputText : code);
  return file;
}

mkdirSync(folder, { recursive: true });
// Otherwise, vitest would use the configuration of this repository.
writeFileSync(`${folder}/vitest.config.mjs`, "export default {};\n");
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(documents)("every snippet of %s runs unchanged", (document) => {
  const expected = EXPECTED[document] ?? {};
  const snippets = snippetsOf(document).filter(({ heading }) => heading !== SERVER);
  let emulator: { readonly endpoint: string; readonly token: string; close(): Promise<void> } | undefined;

  beforeAll(async () => {
    if (document !== "README.md") return;
    const { startEmulator } = await import("eas-prediction/emulator" as string);
    const service = ({ body }: { body: Uint8Array }) => body;
    emulator = await startEmulator({ queues: { txt2img: { service } } });
  });
  afterAll(() => emulator?.close());

  for (const snippet of snippets) {
    const { heading, index } = snippet;
    test(`${heading} ${index + 1}`, async () => {
      const { stdout, stderr } = await run(
        process.execPath,
        ["--unhandled-rejections=strict", ...(RUNNERS[heading] ?? []), moduleOf(document, snippet)],
        {
          // Snippets may write files.
          cwd: folder,
          env: {
            ...ENVIRONMENT,
            ...(emulator && {
              EAS_ENDPOINT: `${emulator.endpoint}${SERVICES[heading]}`,
              EAS_TOKEN: emulator.token,
            }),
          },
          timeout: 20_000,
        },
      );
      // Node 20 warns of `mock.timers`.
      expect(stderr.replace(/^\(node:\d+\) ExperimentalWarning: .*\n.*\n/, "")).toBe("");
      expect(stdout).toMatch(expected[heading]?.[index] as RegExp);
    });
  }

  test("each snippet has an expectation", () => {
    const counted = Object.entries(expected).map(([heading, list]) => [heading, list.length]);
    const headings = [...new Set(snippets.map(({ heading }) => heading))];
    expect(headings.map((heading) => [heading, snippets.filter((each) => each.heading === heading).length])).toEqual(
      counted,
    );
  });
});

test("the command that README's emulator prints runs README's first program", async () => {
  const [program, server] = snippetsOf("README.md") as [Snippet, Snippet];
  expect(server.heading).toBe(SERVER);
  const emulator = spawn(process.execPath, [moduleOf("README.md", server)]);
  try {
    const [printed] = (await once(emulator.stdout, "data")) as [Buffer];
    const [, endpoint, token, file] = /^EAS_ENDPOINT=(\S+) EAS_TOKEN=(\S+) node (\S+)\n$/.exec(String(printed)) ?? [];
    expect(program.code).toContain(`// ${file}\n`);
    const env = { ...process.env, EAS_ENDPOINT: endpoint, EAS_TOKEN: token };
    const { stdout } = await run(process.execPath, [moduleOf("README.md", program)], { env, timeout: 20_000 });
    expect(stdout).toMatch(EXPECTED["README.md"]?.["eas-prediction"]?.[0] as RegExp);
  } finally {
    emulator.kill();
  }
});
