import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, describe, expect, test } from "vitest";
import { pageOf } from "../../scripts/bundles.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = `${root}test/.tmp/package`;
const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
mkdirSync(folder, { recursive: true });
afterAll(() => rmSync(folder, { recursive: true }));

function node(name: string, code: string): string {
  writeFileSync(`${folder}/${name}`, code);
  return execFileSync(process.execPath, [`${folder}/${name}`], { encoding: "utf8" });
}

/** Bundles the imports of a page for browsers, with default settings of esbuild. */
async function bundle(code: string, conditions: string[] = []) {
  const { outputFiles, metafile } = await build({ ...pageOf(code), conditions });
  return { text: (outputFiles[0] as { text: string }).text, inputs: Object.keys(metafile.inputs) };
}

describe("the built package", () => {
  test("contains every file that package.json names", () => {
    const files = JSON.stringify([manifest.exports, manifest.imports]).match(/\.\/dist\/[^"]+/g) as string[];
    expect(files.length).toBeGreaterThan(50);
    expect(files.filter((file) => !existsSync(`${root}${file}`))).toEqual([]);
  });

  test("has an executable command line that imports only the package and modules of Node", () => {
    expect(manifest.bin).toEqual({ "eas-prediction": "./dist/cli.js" });
    const text = readFileSync(`${root}dist/cli.js`, "utf8");
    expect(text).toMatch(/^#!\/usr\/bin\/env node\n/);
    const imports = [...text.matchAll(/^import\b[^"']*["']([^"']+)["']|;import\b[^"';]*["']([^"']+)["']/gm)];
    const names = [...new Set(imports.map((match) => match[1] ?? match[2]))];
    expect(names).toContain("eas-prediction");
    expect(names.filter((name) => !/^(eas-prediction(\/|$)|node:)/.test(name as string))).toEqual([]);
    expect(execFileSync(process.execPath, [`${root}dist/cli.js`, "--version"], { encoding: "utf8" })).toBe(
      `${manifest.version}\n`,
    );
  });

  test("can be imported and required, with one class for all entries of a format", () => {
    const check = `
      const client = new PredictClient({ endpoint: "http://127.0.0.1:1", serviceName: "s", retryCount: 0 });
      client.predict("x").catch((error) => {
        console.log(error instanceof EasError, error instanceof EasNetworkError, error.constructor === EasNetworkError);
        return nodeTransport({}).close();
      });`;
    const names = "{ PredictClient, EasError, EasNetworkError }";
    const esm = `import ${names} from "eas-prediction"; import { nodeTransport } from "eas-prediction/node"; ${check}`;
    const cjs = `const ${names} = require("eas-prediction"); const { nodeTransport } = require("eas-prediction/node"); ${check}`;
    expect(node("classes.mjs", esm)).toBe("true true true\n");
    expect(node("classes.cjs", cjs)).toBe("true true true\n");
  });

  test("loads undici with the first call", () => {
    const loaded = "Object.keys(require.cache).some((file) => file.includes('/undici/'))";
    const out = node(
      "undici.cjs",
      `const { PredictClient } = require("eas-prediction");
       const client = new PredictClient({ endpoint: "http://127.0.0.1:1", serviceName: "s", retryCount: 0 });
       console.log(${loaded});
       client.predict("x").catch(() => console.log(${loaded}));`,
    );
    expect(out).toBe("false\ntrue\n");
  });

  test("adds no module of Node to a browser bundle", async () => {
    const { text, inputs } = await bundle('export * from "eas-prediction"');
    expect(inputs.some((file) => file.endsWith("platform/browser.js"))).toBe(true);
    // The parser of events is small, and loaded by the first stream.
    const foreign = inputs.filter((file) => /node_modules|platform\/(node|web|workerd)\.js/.test(file));
    expect(foreign).toEqual(["node_modules/eventsource-parser/dist/index.js"]);
    expect(text).not.toMatch(/from"node:|require\("|undici/);
  });

  test("selects the platform of the runtime", async () => {
    const { inputs } = await bundle('export * from "eas-prediction"', ["workerd"]);
    expect(inputs.filter((file) => /platform\/\w+\.js$/.test(file))).toEqual(["dist/platform/workerd.js"]);
  });

  test("is tree-shakeable", async () => {
    const { text } = await bundle('export { PredictClient, StringRequest } from "eas-prediction"');
    expect(text).not.toContain("DT_FLOAT");
    expect(text).not.toContain("TorchRequest");
    expect(text).not.toContain("google.protobuf");
  });

  test("has declarations without #platform, undici and ws", () => {
    const files = readdirSync(`${root}dist/types`, { recursive: true, encoding: "utf8" });
    const names = (file: string) =>
      /#platform|undici|isomorphic-ws|from "ws"/.test(readFileSync(`${root}dist/types/${file}`, "utf8"));
    expect(files.filter((file) => file.endsWith("index.d.cts"))).not.toEqual([]);
    expect(files.filter((file) => /\.d\.c?ts$/.test(file) && !file.startsWith("platform/node")).filter(names)).toEqual(
      [],
    );
  });
});
