import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
// Inside the package, so that its name resolves to the built declarations.
const folder = `${root}test/.tmp/document-types`;
const documents = ["README.md", ...readdirSync(`${root}docs`).map((name) => `docs/${name}`)];

mkdirSync(folder, { recursive: true });
afterAll(() => rmSync(folder, { recursive: true }));

test("the snippets of README and docs compile as strict TypeScript, without any", () => {
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
  const checker = program.getTypeChecker();
  const visit = (node: ts.Node, name: string): void => {
    if (node.kind === ts.SyntaxKind.AnyKeyword) failed.set(`${name} any`, "is written");
    const isValue = ts.isIdentifier(node) && !ts.isTypeReferenceNode(node.parent) && !ts.isQualifiedName(node.parent);
    if (isValue && checker.getTypeAtLocation(node).flags & ts.TypeFlags.Any)
      failed.set(`${name} ${node.text}`, "is any");
    ts.forEachChild(node, (child) => visit(child, name));
  };
  for (const [file, name] of names) visit(program.getSourceFile(file) as ts.SourceFile, name);
  expect(names.size).toBeGreaterThan(30);
  expect([...failed]).toEqual([]);
}, 120_000);
