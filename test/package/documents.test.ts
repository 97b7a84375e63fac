import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";
import { afterAll, describe, expect, test } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
// Inside the package, so that its own name resolves to what npm would install.
const folder = `${root}test/.tmp/documents`;

/** Types are removed, and nothing else is changed. */
const OPTIONS: ts.CompilerOptions = { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext };

/** What each snippet prints, by its document and the heading that it is under. */
const EXPECTED: Readonly<Record<string, Readonly<Record<string, readonly RegExp[]>>>> = {
  "README.md": {
    "Text and JSON": [
      /^\[ { fea1: 1, fea2: 2 } \]\ntext of any kind\n$/,
      /^\[{"fea1": 1, "fea2": 2}\]\n$/,
      /^malignant\n\[ 0, 'label' \] malignant\n$/,
    ],
    "Streams and language models": [/^\p{Script=Han}[^\n]+\n200 true\n$/u],
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
    Compression: [/^10000 bytes\nsnappy 10000 bytes true\nlz4-frame 10000 bytes true\nzstd 10000 bytes true\ntrue\n$/],
    Queues: [/^bigint hello\n{ n: 1 } true\n0\n$/, /^first: string 0\nreceived: 100\n$/],
    Workers: [/^10 0\n$/],
    "Asynchronous inference": [/^HELLO 42\n$/],
    "Bytes, and messages of your own": [/^Uint8Array\(3\) \[ 1, 2, 3 \]\n\[ \dn \]\n$/],
    "One call": [/^hello 200 1 [\d.]+\nERR_EAS_HTTP POST .* was answered with 404: .*\nthe service responds/],
    "Your own tests": [/^42 3 3\n$/],
    "Direct connection to the instances": [/^2 false\n$/],
    "Proxies, certificates and other connections": [/^over my own pool\nover fetch\n$/],
  },
  "docs/streaming.md": {
    "Bytes, lines and text": [/^200 一\n200 二\n200 三\nthe user left\n$/],
    "Tokens of a language model": [/^\p{Script=Han}[^\n]+\n\p{Script=Han}[^\n]+\n$/u],
  },
  "docs/llm.md": {
    "From the console to a streamed answer": [/^eas-ngram\n\p{Script=Han}[^\n]+\n$/u],
    "Whole answers": [/^\p{Script=Han}[^\n]+\n2 1\n$/u],
    "Reasoning and tools": [/^get_weather {"city":"Hangzhou"}\ntrue\ntrue\n$/],
    "The npm package openai": [/^eas-ngram\n\p{Script=Han}[^\n]+\n$/u],
    "Files and batches": [/^completed 2\n$/],
    "The npm package @anthropic-ai/sdk": [/^\p{Script=Han}[^\n]+\n$/u],
    "The AI SDK": [/^\p{Script=Han}[^\n]+ true\n2\n$/u],
    "Any other library, and client.fetch": [/^200 1\nERR_EAS_ARG_PATH\n$/],
    "Long answers": [/^true\n$/],
    "In the emulator": [/^Bad Request\n$/],
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
  "docs/inputs.md": {
    "Decoded pixels": [/^DT_FLOAT \[ 1, 1, 8, 8 \]\n7 7\n$/],
    "What models want": [/^DT_FLOAT \[ 2, 3, 224, 224 \] 1204224\n-104 -123\nDT_UINT8 \[ 1, 640, 640, 3 \] 114\n$/],
    "Many requests": [/^true 1\n1 of 2, 0 failed\n2 of 2, 1 failed\n\[ 'fulfilled', 'rejected' \]\n$/],
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

const documents = ["README.md", ...readdirSync(`${root}docs`).map((name) => `docs/${name}`)];

interface Snippet {
  readonly heading: string;
  /** From 0, under its heading. */
  readonly index: number;
  readonly language: string;
  readonly code: string;
}

function snippetsOf(document: string): Snippet[] {
  const text = readFileSync(root + document, "utf8");
  const snippets: Snippet[] = [];
  let heading = "";
  for (const [, title, language, code] of text.matchAll(/^#{2,3} (.+)$|^```(js|cjs|ts)\n([\s\S]*?)^```/gm)) {
    if (title !== undefined) heading = title;
    else {
      const index = snippets.filter((snippet) => snippet.heading === heading).length;
      snippets.push({ heading, index, language: language as string, code: code as string });
    }
  }
  return snippets;
}

mkdirSync(folder, { recursive: true });
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(documents)("every snippet of %s runs as it stands", (document) => {
  const expected = EXPECTED[document] ?? {};
  const snippets = snippetsOf(document);

  for (const { heading, index, language, code } of snippets) {
    test(`${heading} ${index + 1}`, async () => {
      const name = `${document}-${heading}-${index}`.replace(/\W+/g, "-");
      const file = `${folder}/${name}.${language === "cjs" ? "cjs" : "mjs"}`;
      writeFileSync(file, language === "ts" ? ts.transpileModule(code, { compilerOptions: OPTIONS }).outputText : code);
      const { stdout, stderr } = await run(process.execPath, ["--unhandled-rejections=strict", file], {
        timeout: 20_000,
      });
      expect(stderr).toBe("");
      expect(stdout).toMatch(expected[heading]?.[index] as RegExp);
    });
  }

  test("there is an expectation for each", () => {
    const counted = Object.entries(expected).map(([heading, list]) => [heading, list.length]);
    const headings = [...new Set(snippets.map(({ heading }) => heading))];
    expect(headings.map((heading) => [heading, snippets.filter((each) => each.heading === heading).length])).toEqual(
      counted,
    );
  });
});
