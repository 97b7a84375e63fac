import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
// Inside the package, so that its own name resolves to the built declarations.
const folder = `${root}test/.tmp/document-types`;
const documents = ["README.md", ...readdirSync(`${root}docs`).map((name) => `docs/${name}`)];

/**
 * Snippets that do not compile as strict TypeScript, by document and position among its js and ts fences. Most are
 * executed as plain JavaScript and would need a type annotation; `docs/relay.md` 2 is made of fragments.
 */
const UNTYPED: readonly string[] = [
  "README.md 1",
  "README.md 10",
  "README.md 11",
  "docs/cold-start.md 0",
  "docs/inputs.md 1",
  "docs/inputs.md 2",
  "docs/relay.md 0",
  "docs/relay.md 1",
  "docs/relay.md 2",
  "docs/sockets.md 0",
  "docs/sockets.md 1",
  "docs/streaming.md 1",
  "docs/telemetry.md 0",
  "docs/telemetry.md 1",
];

mkdirSync(folder, { recursive: true });
afterAll(() => rmSync(folder, { recursive: true }));

test("the snippets of README and docs compile as strict TypeScript, except the listed ones", () => {
  const names = new Map<string, string>();
  for (const document of documents) {
    const snippets = readFileSync(root + document, "utf8").matchAll(/^```(?:js|ts)\n([\s\S]*?)^```/gm);
    for (const [i, [, code]] of [...snippets].entries()) {
      const file = `${folder}/${document.replace(/\W/g, "-")}-${i}.mts`;
      writeFileSync(file, code as string);
      names.set(file, `${document} ${i}`);
    }
  }
  const program = ts.createProgram([...names.keys()], {
    target: ts.ScriptTarget.ES2022,
    lib: [
      "lib.es2022.d.ts",
      "lib.esnext.disposable.d.ts",
      "lib.dom.d.ts",
      "lib.dom.iterable.d.ts",
      "lib.dom.asynciterable.d.ts",
    ],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ["node"],
    strict: true,
    noEmit: true,
    skipLibCheck: true,
  });
  const failed = new Map<string, string>();
  for (const { file, messageText } of ts.getPreEmitDiagnostics(program)) {
    const name = names.get(file?.fileName ?? "") ?? "another file";
    failed.set(name, ts.flattenDiagnosticMessageText(messageText, "\n"));
  }
  expect(names.size).toBeGreaterThan(30);
  expect([...failed].filter(([name]) => !UNTYPED.includes(name))).toEqual([]);
  expect(UNTYPED.filter((name) => !failed.has(name))).toEqual([]);
}, 120_000);
