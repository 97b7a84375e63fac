import { readFileSync } from "node:fs";
import ts from "typescript";
import { describe, expect, test } from "vitest";

/** The entries whose options and errors the pages describe. */
const ENTRIES = [
  "index",
  "node",
  "relay/index",
  "telemetry/opentelemetry",
  "ai/index",
  "image/index",
  "emulator/index",
];
/** Interfaces that only authors of transports and errors use. */
const OTHERS = new Set(["WebSocketDialOptions", "EasErrorOptions"]);

const { config } = ts.readConfigFile("tsconfig.json", ts.sys.readFile);
const program = ts.createProgram(
  ENTRIES.map((entry) => `src/${entry}.ts`),
  ts.parseJsonConfigFileContent(config, ts.sys, process.cwd()).options,
);
const checker = program.getTypeChecker();

/** The exported types and classes of all entries, by name. */
const exported = new Map<string, ts.Type>();
for (const entry of ENTRIES) {
  const file = program.getSourceFile(`src/${entry}.ts`) as ts.SourceFile;
  for (const symbol of checker.getExportsOfModule(checker.getSymbolAtLocation(file) as ts.Symbol)) {
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    if (target.flags & (ts.SymbolFlags.Type | ts.SymbolFlags.Class)) {
      exported.set(symbol.name, checker.getDeclaredTypeOfSymbol(target));
    }
  }
}

/** The members that are declared in the interface or class `name`, without those that it inherits. */
function ownMembers(name: string): string[] {
  const properties = checker.getPropertiesOfType(exported.get(name) as ts.Type);
  return properties.filter((property) => declaringName(property) === name).map((property) => property.name);
}

/** The name of the interface or class that declares a property. */
function declaringName(property: ts.Symbol): string | undefined {
  const parent = property.declarations?.[0]?.parent;
  return parent && (ts.isInterfaceDeclaration(parent) || ts.isClassDeclaration(parent)) ? parent.name?.text : undefined;
}

/** The first cells of the table that follows the first mention of `name` in parentheses. */
function rowsAfter(document: string, name: string): string[] {
  const [, after] = readFileSync(document, "utf8").split(`(\`${name}\`)`);
  const table = /^\|[\s\S]*?\n(?!\|)/m.exec(after ?? "")?.[0] ?? "";
  return [...table.matchAll(/^\| `?(\w+)`?(?: ¹)? +\|/gm)].slice(1).map(([, option]) => option as string);
}

const PAGE_OF: Readonly<Record<string, string>> = {
  ImageOptions: "docs/inputs.md",
  EmulatorOptions: "docs/testing.md",
  EmulatorService: "docs/testing.md",
  Fault: "docs/testing.md",
  EmulatorQueueOptions: "docs/testing.md",
  QueueSettings: "docs/testing.md",
  StartEmulatorOptions: "docs/testing.md",
  RecorderOptions: "docs/testing.md",
  ReplayOptions: "docs/testing.md",
  LlmServiceOptions: "docs/testing.md",
  LlmGatewayOptions: "docs/testing.md",
  ComfyUiOptions: "docs/testing.md",
  EmulatorControlOptions: "docs/find-service.md",
  StableDiffusionOptions: "docs/testing.md",
};

const options = [...exported.keys()].filter(
  (name) => /Options$|^RelayRule$|^(QueueSettings|Fault|EmulatorService)$/.test(name) && !OTHERS.has(name),
);
const withMembers = options.filter((name) => ownMembers(name).length > 0 && !/^(Stopping|Collecting)/.test(name));

describe("the tables of options have exactly the options of the types", () => {
  test("the interfaces are found", () => {
    expect(withMembers.length).toBeGreaterThan(25);
  });

  test.each(withMembers.filter((name) => name !== "OpenAIOptions"))("%s", (name) => {
    expect(rowsAfter(PAGE_OF[name] ?? "docs/options.md", name).sort()).toEqual(ownMembers(name).sort());
  });
});

describe("docs/errors.md", () => {
  const page = readFileSync("docs/errors.md", "utf8");
  const classes = [...exported.keys()].filter((name) => /^Eas\w+Error$/.test(name));

  test.each(classes)("%s: has a row with its code and its fields", (name) => {
    if (name === "EasError" || name === "AnyEasError") return;
    const row = page.split("\n").find((line) => line.startsWith(`| \`${name}\``)) ?? "";
    const fields = ownMembers(name).filter((member) => member !== "code");
    expect(fields.filter((field) => !row.includes(`\`${field}\``))).toEqual([]);
    expect(row).toMatch(/`ERR_EAS_[A-Z_]+`/);
  });

  test("describes every field of EasError, and every code", () => {
    const code = readFileSync("src/errors.ts", "utf8") + readFileSync("src/util/argument-errors.ts", "utf8");
    const names = new Set([...code.matchAll(/^ {2}\| "(ERR_EAS_\w+)"/gm)].map(([, code]) => code as string));
    expect(names.size).toBeGreaterThan(25);
    expect([...names].filter((code) => !page.includes(`\`${code}\``))).toEqual([]);
    const fields = ownMembers("EasError").filter((field) => !["toJSON", "toString"].includes(field));
    expect(fields.filter((field) => !page.includes(`| \`${field}\``))).toEqual([]);
  });
});
