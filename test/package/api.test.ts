import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

// The public declarations of each entry, as committed in test/package/api. A change of the public API changes a file there:
// run `npx vitest run test/package/api.test.ts -u`, review the difference, and describe it in CHANGELOG.md.

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MANIFEST = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));

/** The entries by their name, with the file of their declarations. */
const ENTRIES = Object.entries<{ import?: { types?: string } }>(MANIFEST.exports).flatMap(([entry, conditions]) => {
  const file = conditions.import?.types;
  return file === undefined ? [] : [[entry === "." ? "index" : entry.slice(2).replaceAll("/", "-"), ROOT + file]];
}) as [string, string][];

const program = ts.createProgram(
  ENTRIES.map(([, file]) => file),
  { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, skipLibCheck: true, types: [] },
);
const checker = program.getTypeChecker();
const printer = ts.createPrinter({ removeComments: true });

/** Returns the declarations of all exports of a file, sorted by name, without comments. */
function publicApi(file: string): string {
  const source = program.getSourceFile(file) as ts.SourceFile;
  const module = checker.getSymbolAtLocation(source);
  const exports = module === undefined ? [] : checker.getExportsOfModule(module);
  return exports
    .map((symbol): [string, ts.Symbol] => [symbol.name, resolved(symbol)])
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, symbol]) => {
      const texts = (symbol.declarations ?? []).map(textOf);
      return `${symbol.name === name ? "" : `// as ${name}\n`}${texts.join("\n")}\n`;
    })
    .join("\n");
}

function resolved(symbol: ts.Symbol): ts.Symbol {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
}

function textOf(declaration: ts.Declaration): string {
  // A constant's declaration is the statement around it.
  const node = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;
  return printer.printNode(ts.EmitHint.Unspecified, node, declaration.getSourceFile());
}

test.each(ENTRIES)("the public API of %s is the committed one", async (name, file) => {
  await expect(publicApi(file)).toMatchFileSnapshot(`api/${name}.d.ts.txt`);
});

test("every entry has declarations", () => {
  expect(ENTRIES.length).toBeGreaterThan(15);
});
