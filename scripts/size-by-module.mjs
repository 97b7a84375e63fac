// `node scripts/size-by-module.mjs "string predict"`: prints what each source module adds to a page, for
// bench/NOTES.md. That is the reduction of the gzipped bundle without the module's text. It is less than the module's
// own size, because gzip reuses text of other modules.

import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import ts from "typescript";
import { CASES } from "./bundles.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const found = CASES.find(({ name }) => name === process.argv[2]);
if (!found) {
  console.error(`give one of: ${CASES.map(({ name }) => JSON.stringify(name)).join(", ")}`);
  process.exit(1);
}

/** A statement after each module, which marks its text in the bundle. */
const MARK = "globalThis.endOfModule";

const { outputFiles } = await build({
  stdin: { contents: found.code.replace("eas-prediction", `${root}src/index.ts`), resolveDir: root },
  bundle: true,
  minify: true,
  // Otherwise esbuild joins statements of neighboring modules, and the marks are lost.
  minifySyntax: false,
  format: "esm",
  platform: "browser",
  tsconfigRaw: {},
  write: false,
  plugins: [
    {
      name: "marks",
      setup(build) {
        build.onResolve({ filter: /^#platform$/ }, () => ({ path: `${root}src/platform/browser/platform.ts` }));
        build.onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => ({
          contents: `${readFileSync(path, "utf8")}\n${MARK}=${JSON.stringify(relative(root, path))};`,
          loader: "ts",
        }));
      },
    },
  ],
});

const modules = [];
let rest = outputFiles[0].text;
for (let mark = markIn(rest); mark; mark = markIn(rest)) {
  modules.push({ name: mark[1], text: rest.slice(0, mark.index) });
  rest = rest.slice(mark.index + mark[0].length);
}
const whole = (without) => modules.map((module) => (module === without ? "" : module.text)).join("") + rest;
const total = gzipped(whole());
const shares = modules.map((module) => [total - gzipped(whole(module)), module.name]);
for (const [bytes, name] of shares.sort((a, b) => b[0] - a[0]))
  if (bytes > 0) console.log(String(bytes).padStart(6), name);
console.log(String(total).padStart(6), "all, without minified syntax");
console.log(String(gzipped(withoutProse(whole()))).padStart(6), "all, with its texts for people left empty");

function markIn(text) {
  return /globalThis\.endOfModule="([^"]*)";?/.exec(text);
}

function gzipped(text) {
  return gzipSync(text, { level: 9 }).length;
}

/** Returns the program in which each string with a space between words is empty. */
function withoutProse(program) {
  const file = ts.createSourceFile("bundle.js", program, ts.ScriptTarget.Latest, false, ts.ScriptKind.JS);
  let out = "";
  let at = 0;
  const visit = (node) => {
    const isText = ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node);
    if (isText && /\w,? \w/.test(node.text)) {
      const ends = /^(["'`}]).*?(["'`]|\$\{)$/s.exec(program.slice(node.getStart(file), node.end));
      out += program.slice(at, node.getStart(file)) + ends[1] + ends[2];
      at = node.end;
    } else ts.forEachChild(node, visit);
  };
  visit(file);
  return out + program.slice(at);
}
