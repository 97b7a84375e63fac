import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { exports: entries } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
  exports: Readonly<Record<string, { readonly import?: { readonly types: string } }>>;
};
const files = Object.values(entries).flatMap((entry) => (entry.import ? [root + entry.import.types.slice(2)] : []));

/** Types that appear in declarations but that callers never need to name, with the reason. */
const INTERNAL: Readonly<Record<string, string>> = {
  RecommendRequest: "base class of the recommendation requests",
  AbstractBladeRequest: "base class of the Blade requests",
  ValueByType: "table behind JsonFeature",
  ValuesByDType: "table behind ValuesOf",
  ScalarName: "part of TorchRecDType",
  KeyName: "part of TorchRecDType",
  ValueOfName: "part of TorchRecValue",
  Optional: "computes EmulatorQueueOptions",
};

/** Returns the types that public declarations refer to but no entry exports, with the name of the declaration. */
function unexportedTypes(): Map<string, string> {
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    skipLibCheck: true,
    strict: true,
  });
  const checker = program.getTypeChecker();
  const resolved = (symbol: ts.Symbol | undefined) =>
    symbol && symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const exported = new Set<ts.Symbol>();
  for (const file of files) {
    const source = program.getSourceFile(file);
    const module = source && checker.getSymbolAtLocation(source);
    if (module === undefined) throw new Error(`${file} is not a module: run npm run build`);
    for (const symbol of checker.getExportsOfModule(module)) exported.add(resolved(symbol) as ts.Symbol);
  }
  const missing = new Map<string, string>();
  const visit = (node: ts.Node, of: string): void => {
    const hidden = [ts.SyntaxKind.PrivateKeyword, ts.SyntaxKind.ProtectedKeyword];
    if (ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(({ kind }) => hidden.includes(kind))) return;
    if (ts.isTypeReferenceNode(node) || ts.isExpressionWithTypeArguments(node)) {
      const name = ts.isTypeReferenceNode(node) ? node.typeName : node.expression;
      const symbol = resolved(checker.getSymbolAtLocation(name));
      const isOurs = symbol?.declarations?.[0]?.getSourceFile().fileName.includes("/dist/types/");
      const isParameter = symbol && symbol.flags & ts.SymbolFlags.TypeParameter;
      if (symbol && isOurs && !isParameter && !exported.has(symbol)) missing.set(symbol.name, of);
    }
    ts.forEachChild(node, (child) => visit(child, of));
  };
  for (const symbol of exported) {
    for (const declaration of symbol.declarations ?? []) {
      if (!declaration.getSourceFile().fileName.includes("node_modules")) visit(declaration, symbol.name);
    }
  }
  return missing;
}

test("every type of a public function, method or property is exported", () => {
  const missing = unexportedTypes();
  expect([...missing].filter(([name]) => !Object.hasOwn(INTERNAL, name))).toEqual([]);
  expect(Object.keys(INTERNAL).filter((name) => !missing.has(name))).toEqual([]);
}, 60_000);
