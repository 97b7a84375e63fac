import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";

/** The text of each source file, by its path below src/. */
type Sources = ReadonlyMap<string, string>;

interface Import {
  readonly from: string;
  /** Path below src/ for a file of this package, otherwise the name of the imported package. */
  readonly to: string;
  readonly isOurs: boolean;
  /** Whether the specifier is "#platform", which resolves to the platform of the runtime. */
  readonly isSeam: boolean;
  readonly isDynamic: boolean;
  readonly isTypeOnly: boolean;
}

/** Entries of the package. They may import any file, and no file may import them. */
const ENTRY =
  /^(index|node|dispose|cli\/main|emulator\/console\/page\/main)\.ts$|^(proto|compression)\/[^/]+\.ts$|^(emulator|relay|image|ai|control)\/index\.ts$|^telemetry\/opentelemetry\.ts$/;

/**
 * The files that each room may import besides its own. From the bottom up:
 * `errors, util < platform < endpoint, config < call < predict < queue < relay, telemetry, ai`, and
 * `gen, formats/protobuf < formats/tensor < one room for each format, image`. A room is a folder or a file of src/. If two
 * rooms match a file, the longer name applies.
 */
const BASE = ["errors.ts", "formats/request.ts", "util"];
const CALLS = [...BASE, "platform", "endpoint", "config", "call"];
const TENSORS = [...BASE, "gen", "formats/protobuf", "formats/tensor"];
const RECOMMEND = [...TENSORS, "formats/recommend"];
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  util: [],
  "formats/request.ts": [],
  "errors.ts": ["formats/request.ts", "util"],
  platform: BASE,
  endpoint: [...BASE, "platform"],
  config: [...BASE, "platform", "endpoint"],
  call: [...BASE, "platform", "endpoint", "config"],
  predict: [...CALLS, "formats/json", "formats/text"],
  queue: [...CALLS, "predict", "formats/protobuf", "formats/text"],
  relay: [...CALLS, "predict", "queue"],
  telemetry: [...CALLS, "predict", "queue"],
  ai: [...CALLS, "predict"],
  control: [...BASE, "platform", "config"],
  gen: [],
  "formats/protobuf": BASE,
  "formats/tensor": [...BASE, "gen", "formats/protobuf"],
  "formats/tf": TENSORS,
  "formats/torch": TENSORS,
  "formats/caffe": TENSORS,
  "formats/onnx": TENSORS,
  "formats/blade": TENSORS,
  // EasyRec and TorchEasyRec share a parser for requests, which needs this table of feature kinds.
  "formats/recommend": [...TENSORS, "formats/torchrec/dtype.ts"],
  "formats/torchrec/dtype.ts": RECOMMEND,
  "formats/easyrec": RECOMMEND,
  "formats/torchrec": [...RECOMMEND, "formats/torchrec/dtype.ts"],
  "formats/json": BASE,
  "formats/text": [...BASE, "formats/json"],
  compression: BASE,
  image: [...BASE, "formats/tensor"],
  // The command line uses the package as its users do: by its name.
  cli: [],
};

/** Files that may import modules that only exist on servers. */
const NATIVE_FILES = /^platform\/node\/|^emulator\/(server|console|cassettes\/recorder)\/|^cli\//;
const NATIVE_MODULES = /^(node:|undici($|\/)|ws$|isomorphic-ws$)/;
/** Modules that must be loaded by a dynamic import, on the first send. */
const LAZY_MODULES = /^(undici|ws|isomorphic-ws)($|\/)/;

const MAX_LINES = 400;
/** Files that may be longer, with the reason. */
const LONG_FILES: Readonly<Record<string, string>> = {
  "errors.ts": "all error classes; most lines are docstrings",
  "predict/client.ts": "the public methods of the client; most lines are docstrings",
};

function importsOf(from: string, text: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: string, kind: { isDynamic?: boolean; isTypeOnly?: boolean }) => {
    const isSeam = specifier === "#platform";
    const isOurs = specifier.startsWith(".") || isSeam;
    const to = isSeam ? "platform/node/platform.ts" : posix.join(posix.dirname(from), specifier);
    found.push({
      from,
      to: isOurs ? to.replace(/\.js$/, ".ts") : specifier,
      isOurs,
      isSeam,
      isDynamic: kind.isDynamic ?? false,
      isTypeOnly: kind.isTypeOnly ?? false,
    });
  };
  const isText = (node: ts.Node | undefined): node is ts.StringLiteral =>
    node !== undefined && ts.isStringLiteralLike(node);
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && isText(node.moduleSpecifier)) {
      const { importClause } = node;
      const named = importClause?.namedBindings;
      const onlyTypes =
        importClause !== undefined &&
        (importClause.isTypeOnly ||
          (importClause.name === undefined &&
            named !== undefined &&
            ts.isNamedImports(named) &&
            named.elements.length > 0 &&
            named.elements.every((element) => element.isTypeOnly)));
      add(node.moduleSpecifier.text, { isTypeOnly: onlyTypes });
    } else if (ts.isExportDeclaration(node) && isText(node.moduleSpecifier)) {
      add(node.moduleSpecifier.text, { isTypeOnly: node.isTypeOnly });
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && isText(node.argument.literal)) {
      add(node.argument.literal.text, { isTypeOnly: true });
    } else if (ts.isImportEqualsDeclaration(node) && ts.isExternalModuleReference(node.moduleReference)) {
      if (isText(node.moduleReference.expression)) add(node.moduleReference.expression.text, {});
    } else if (ts.isModuleDeclaration(node) && isText(node.name)) {
      add(node.name.text, { isTypeOnly: true });
    } else if (ts.isCallExpression(node)) {
      const [argument] = node.arguments;
      const isDynamic = node.expression.kind === ts.SyntaxKind.ImportKeyword;
      const isRequire = ts.isIdentifier(node.expression) && node.expression.text === "require";
      if (isDynamic || isRequire) add(isText(argument) ? argument.text : "a computed name", { isDynamic });
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(from, text, ts.ScriptTarget.ES2022, true));
  return found;
}

/** Returns the room of a file: the longest room name that is a prefix of the path. */
function roomOf(file: string): string {
  const parts = file.split("/");
  for (let length = parts.length; length > 0; length--) {
    const room = parts.slice(0, length).join("/");
    if (room in ROOMS) return room;
  }
  return parts[0] as string;
}

/** Returns a message for each violation of the rules. */
function violations(sources: Sources): string[] {
  const imports = [...sources].flatMap(([file, text]) => importsOf(file, text));
  return [
    ...imports.flatMap((each) => [...violationsOf(each)]),
    ...cycles(imports),
    ...[...sources.keys()].filter((file) => !isKnown(file)).map((file) => `${file} is in no room that has rules`),
    ...[...sources]
      .filter(([file, text]) => roomOf(file) !== "gen" && !(file in LONG_FILES) && lines(text) > MAX_LINES)
      .map(([file, text]) => `${file} has ${lines(text)} lines`),
    ...[...sources].filter(([file]) => file === "index.ts").flatMap(([, text]) => indexViolations(text)),
  ];
}

const lines = (text: string): number => text.replace(/\n$/, "").split("\n").length;

function isKnown(file: string): boolean {
  return ENTRY.test(file) || roomOf(file) === "emulator" || roomOf(file) in ROOMS;
}

function* violationsOf({ from, to, isOurs, isSeam, isDynamic, isTypeOnly }: Import): Generator<string> {
  const [room, other] = [roomOf(from), roomOf(to)];
  const message = `${from} imports ${to}`;
  if (!isOurs) {
    if (to === "a computed name") yield message;
    if (NATIVE_MODULES.test(to) && !NATIVE_FILES.test(from)) yield `${message}: only src/platform/node may`;
    else if (LAZY_MODULES.test(to) && !isDynamic && !isTypeOnly && room === "platform") yield `${message} at start`;
    return;
  }
  if (ENTRY.test(from) || room === "emulator") return;
  if (ENTRY.test(to)) yield `${message}, an entry`;
  else if (NATIVE_FILES.test(to) && !NATIVE_FILES.test(from) && !isSeam) {
    // Otherwise bundles for browsers would contain Node's platform.
    yield `${message}: only through "#platform"`;
  } else if (other === "emulator") yield `${message}: nothing may`;
  else if (room !== other && !ROOMS[room]?.includes(other)) yield `${message}: ${room} may not`;
}

/** Returns the import cycles between files, including imports of types. */
function cycles(imports: readonly Import[]): string[] {
  const edges = new Map<string, string[]>();
  for (const { from, to, isOurs } of imports) if (isOurs) edges.set(from, [...(edges.get(from) ?? []), to]);
  const found: string[] = [];
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at !== -1) {
      found.push(`cycle: ${[...path.slice(at), file].join(" > ")}`);
      return;
    }
    if (done.has(file)) return;
    for (const next of edges.get(file) ?? []) walk(next, [...path, file]);
    done.add(file);
  };
  for (const file of edges.keys()) walk(file, []);
  return found;
}

/** Returns a message for each statement of the index that is not `export { … } from`. */
function indexViolations(text: string): string[] {
  return ts
    .createSourceFile("index.ts", text, ts.ScriptTarget.ES2022, true)
    .statements.filter(
      (statement) =>
        !(
          ts.isExportDeclaration(statement) &&
          statement.moduleSpecifier !== undefined &&
          statement.exportClause !== undefined &&
          ts.isNamedExports(statement.exportClause)
        ),
    )
    .map((statement) => `index.ts has more than "export { … } from": ${statement.getText().slice(0, 60)}`);
}

function readSources(): Sources {
  const root = join(dirname(fileURLToPath(import.meta.url)), "../../../src");
  return new Map(
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /(?<!\.d)\.ts$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [relative(root, path).replaceAll("\\", "/"), readFileSync(path, "utf8")]),
  );
}

describe("the source", () => {
  const sources = readSources();

  test("is found by the test", () => {
    expect(sources.size).toBeGreaterThan(50);
    expect(importsOf("predict/client.ts", sources.get("predict/client.ts") ?? "").length).toBeGreaterThan(5);
  });

  test("follows the import rules", () => {
    expect(violations(sources)).toEqual([]);
  });

  test("has no unnecessary exceptions for long files", () => {
    const needless = Object.keys(LONG_FILES).filter((file) => lines(sources.get(file) ?? "") <= MAX_LINES);
    expect(needless).toEqual([]);
  });

  test("has no files that are never imported", () => {
    const imported = new Set([...sources].flatMap(([file, text]) => importsOf(file, text).map(({ to }) => to)));
    // The conditions in package.json select the platform.
    const roots = /^platform\/(node|browser|workerd|web)\/platform\.ts$/;
    const orphans = [...sources.keys()].filter((file) => !imported.has(file) && !ENTRY.test(file) && !roots.test(file));
    expect(orphans).toEqual([]);
  });
});

describe("the checker of import rules", () => {
  const check = (files: Record<string, string>) => violations(new Map(Object.entries(files)));

  test.each<[string, Record<string, string>, RegExp]>([
    ["upwards", { "platform/a.ts": 'import { b } from "../call/b.js";' }, /platform may not/],
    ["upwards, types only", { "endpoint/a.ts": 'import type { B } from "../call/b.js";' }, /endpoint may not/],
    ["upwards, re-exported", { "call/a.ts": 'export { b } from "../predict/b.js";' }, /call may not/],
    ["upwards, everything", { "call/a.ts": 'export * from "../predict/b.js";' }, /call may not/],
    ["upwards, for its effects", { "call/a.ts": 'import "../predict/b.js";' }, /call may not/],
    ["upwards, dynamic", { "call/a.ts": 'const b = () => import("../predict/b.js");' }, /call may not/],
    ["upwards, as a type in the text", { "call/a.ts": 'let b: import("../predict/b.js").B;' }, /call may not/],
    ["upwards, in a template", { "call/a.ts": "void import(`../predict/b.js`);" }, /call may not/],
    ["sideways", { "predict/a.ts": 'import { b } from "../queue/b.js";' }, /predict may not/],
    ["calls to tensors", { "predict/a.ts": 'import { b } from "../formats/tensor/b.js";' }, /predict may not/],
    ["tensors to calls", { "formats/tensor/a.ts": 'import { b } from "../../call/b.js";' }, /tensor may not/],
    ["tensors to recommend", { "formats/tensor/a.ts": 'import { b } from "../recommend/b.js";' }, /tensor may not/],
    ["tensors to the platform", { "formats/tensor/a.ts": 'import { platform } from "#platform";' }, /tensor may not/],
    ["request to anything", { "formats/request.ts": 'import { b } from "../errors.js";' }, /request\.ts may not/],
    ["the sources from the command line", { "cli/a.ts": 'import "../call/b.js";' }, /cli may not/],
    ["emulator", { "call/a.ts": 'import { b } from "../emulator/b.js";' }, /nothing may/],
    ["entry", { "predict/a.ts": 'import { b } from "../index.js";' }, /an entry/],
    ["Node's platform", { "call/a.ts": 'import { b } from "../platform/node/http.js";' }, /only through "#platform"/],
    ["Node's platform in web", { "platform/web/a.ts": 'import "../node/websocket.js";' }, /only through "#platform"/],
    ["node:", { "call/a.ts": 'import { b } from "node:crypto";' }, /only src\/platform\/node/],
    [
      "node:, types only",
      { "formats/tensor/a.ts": 'import type { b } from "node:buffer";' },
      /only src\/platform\/node/,
    ],
    ["node: in web", { "platform/web.ts": 'const b = await import("node:crypto");' }, /only src\/platform\/node/],
    ["undici", { "call/a.ts": 'import { Agent } from "undici";' }, /only src\/platform\/node/],
    ["ws", { "emulator/emulator.ts": 'import ws from "ws";' }, /only src\/platform\/node/],
    ["undici at start", { "platform/node/platform.ts": 'import { Agent } from "undici";' }, /at start/],
    [
      "undici at start, types too",
      { "platform/node/platform.ts": 'import { Agent, type B } from "undici";' },
      /at start/,
    ],
    ["require", { "call/a.ts": 'const b = require("node:fs");' }, /only src\/platform\/node/],
    ["import =", { "call/a.ts": 'import b = require("node:fs");' }, /only src\/platform\/node/],
    ["computed", { "call/a.ts": 'const n = "node:fs"; void import(n);' }, /a computed name/],
    [
      "a cycle",
      {
        "call/a.ts": 'import "./b.js";',
        "call/b.ts": 'import "./c.js";',
        "call/c.ts": 'import type { A } from "./a.js";',
      },
      /cycle: call\/a\.ts > call\/b\.ts > call\/c\.ts > call\/a\.ts/,
    ],
    ["itself", { "call/a.ts": 'import "./a.js";' }, /cycle/],
    ["a room without rules", { "utils/a.ts": "" }, /in no room/],
    ["a file without rules", { "helpers.ts": "" }, /in no room/],
    ["too many lines", { "call/a.ts": "//\n".repeat(401) }, /call\/a\.ts has 401 lines/],
    ["index with a value", { "index.ts": "export const a = 1;" }, /index\.ts has more/],
    ["index with everything", { "index.ts": 'export * from "./call/a.js";' }, /index\.ts has more/],
    ["index with an import", { "index.ts": 'import "./call/a.js";' }, /index\.ts has more/],
    ["index with names of its own", { "index.ts": "export { a };" }, /index\.ts has more/],
  ])("reports a forbidden import: %s", (_, files, message) => {
    const found = check(files);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(message);
  });

  test("accepts sources that follow the rules", () => {
    const files = {
      "formats/request.ts": "export type Bytes = Uint8Array;",
      "errors.ts": 'import type { Bytes } from "./formats/request.js";',
      "index.ts":
        '// A list\nexport { a, type B } from "./predict/a.js";\nexport type { C } from "./formats/request.js";',
      "platform/node/platform.ts":
        'import type { Agent } from "undici";\nconst u = () => import("undici");\nimport "node:zlib";',
      "platform/node/transport.ts": 'import { type Dispatcher } from "undici"; import "../../errors.js";',
      "call/a.ts": 'import { p } from "#platform"; import { e } from "../endpoint/e.js"; // import "../predict/x.js"',
      "endpoint/e.ts": "const text = 'import \"node:fs\"';",
      "predict/a.ts": 'import "../call/a.js"; import "../platform/fetch.js"; import "@bufbuild/protobuf";',
      "formats/recommend/a.ts": 'import "../tensor/a.js"; import "../../gen/x.js";',
      "formats/tensor/a.ts": 'import "../request.js"; import "../../gen/x.js";',
      "gen/x.ts": "//\n".repeat(1000),
      "emulator/index.ts": 'import "../predict/a.js"; import "./server/server.js"; import "../index.js";',
      "emulator/server/server.ts": 'import { createServer } from "node:http"; import "ws";',
      "call/long.ts": "//\n".repeat(400),
    };
    expect(check(files)).toEqual([]);
  });
});
