// Pages and workers that bundle the package. The bundles run, and contain nothing that they must not contain.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { runScripts } from "./browser-context.mjs";
import { BUNDLERS, esbuildWith, metro, minify } from "./bundlers.mjs";
import { project, readProgram } from "./workspace.mjs";

/** Texts that show code for Node only in a bundle. */
const OF_NODE = {
  "a built-in": /["'`]node:|\brequire\(["'`]/,
  undici: /undici/i,
  ws: /isomorphic-ws|Sec-WebSocket-(?:Key|Version)/i,
};
/** zstd and the platform "web" look up built-in modules if the runtime has them, and import none. */
const IMPORT_OF_NODE = { ...OF_NODE, "a built-in": /(?:from|import|require)\s*\(?["'`]node:/ };

const IMPORT = /^import (\{[^}]+\}) from "eas-prediction";$/m;
const PAGE = { text: "你好", frame: "job", transport: "http" };
const CODECS = ["snappy true 1000", "lz4-frame true 1000", "zstd true 1000"];

/** Bundles and runs the programs. The emulator comes from the installed package. */
export async function bundlerConsumers(report, folder, installed) {
  const { startEmulator, createEmulator, heldOutDigits } = await import(
    pathToFileURL(join(installed, "dist/emulator.js")).href
  );
  const emulator = await startEmulator({ queues: { jobs: {} } });
  const { endpoint, token } = emulator;
  const image = heldOutDigits.images[0];
  const label = heldOutDigits.labels[0];
  const settings = { endpoint, token, image };

  await report.check("the search", "finds in a bundle for Node what it looks for", async () => {
    const path = pages(folder, "search", ["page.js"]);
    const options = { platform: "node", minify: true, legalComments: "none", format: "esm" };
    const { code } = await esbuildWith(path, "page.js", options);
    assert.deepEqual(found(code, OF_NODE), Object.keys(OF_NODE));
  });

  for (const [name, bundle] of Object.entries(BUNDLERS)) {
    const path = pages(folder, name, ["page.js", "page-without-network.js", "page-with-server.js"]);
    await report.check(name, "a page: nothing of Node in it; text, tensors and a watch", async () => {
      const code = await bundle(path, "page.js");
      assert.deepEqual(found(await minify(code), OF_NODE), []);
      assert.deepEqual(await runScripts([code], { settings }), { ...PAGE, label });
      return `${code.length} bytes`;
    });
    if (name !== "Rollup") {
      await report.check(name, "a page that requires: the same", async () => {
        const code = await bundle(requiringPage(folder, name), "page.js");
        assert.deepEqual(found(await minify(code), OF_NODE), []);
        assert.deepEqual(await runScripts([code], { settings }), { ...PAGE, label });
        return `${code.length} bytes`;
      });
    }
    await report.check(name, "emulator/memory and the compressions: no network needed", async () => {
      const code = await bundle(path, "page-without-network.js");
      assert.deepEqual(found(await minify(code), IMPORT_OF_NODE), []);
      assert.deepEqual(await runScripts([code]), { label, expected: label, codecs: CODECS });
      return `${code.length} bytes`;
    });
    await report.check(name, "emulator with its server: refused", () => refusal(bundle, path));
  }

  for (const [consumer, mainField] of [
    ["Metro", false],
    ["Metro before exports", true],
  ]) {
    await report.check(consumer, "React Native: nothing of Node in it; text, tensors and a watch", async () => {
      pages(folder, consumer, ["page.js"]);
      const code = await metro(folder, `bundler-${consumer}/page.js`, { mainField });
      assert.deepEqual(found(await minify(code), IMPORT_OF_NODE), []);
      assert.deepEqual(await runScripts([code], { settings }), { ...PAGE, label });
      return `${code.length} bytes`;
    });
  }

  await report.check("worker", "as wrangler bundles it: platform/workerd, nothing of Node; a prediction", async () => {
    const path = pages(folder, "worker", ["worker.js"]);
    const conditions = ["workerd", "worker", "browser"];
    const options = { conditions, platform: "browser", format: "esm", target: "es2024", external: ["node:*"] };
    const { code, inputs } = await esbuildWith(path, "worker.js", options);
    const platforms = inputs.filter((input) => /dist\/platform\//.test(input)).map((input) => input.split("/").at(-1));
    assert.deepEqual(platforms, ["workerd.js"]);
    assert.deepEqual(found(await minify(code), OF_NODE), []);
    writeFileSync(join(path, "bundle.mjs"), code);
    const worker = await import(pathToFileURL(join(path, "bundle.mjs")).href);
    const request = new Request("http://worker/", { method: "POST", body: Float32Array.from(image) });
    const answer = await (await worker.default.fetch(request, { endpoint, token })).json();
    assert.equal(answer.label, label);
    assert.match(answer.index, /^\d+$/);
    return `${code.length} bytes`;
  });

  await report.check("script tag", "EasPrediction, the file of unpkg and jsdelivr: all of the main entry", async () => {
    const { unpkg, jsdelivr } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
    assert.equal(unpkg, jsdelivr);
    const code = readFileSync(join(installed, unpkg), "utf8");
    assert.deepEqual(found(await minify(code), OF_NODE), []);
    const names = await runScripts([code, "globalThis.answer = Object.keys(EasPrediction)"]);
    assert.deepEqual(
      names.sort(),
      Object.keys(await import(pathToFileURL(join(installed, "dist/index.js")).href)).sort(),
    );
    const memory = createEmulator({ queues: { jobs: {} } });
    const fetch = (url, init) => memory.fetch(new Request(url, init));
    const program = readProgram("page.js").replace(IMPORT, "const $1 = EasPrediction;");
    const script = { settings: { ...settings, endpoint: "http://emulator", token: memory.token }, fetch };
    assert.deepEqual(await runScripts([code, program], script), { ...PAGE, label });
    return `${code.length} bytes`;
  });
  await emulator.close();
}

/** Error for a page that imports a server: from the bundler, or at run time where the bundler ignores `null` (Vite). */
async function refusal(bundle, path) {
  const refused = await bundle(path, "page-with-server.js").then(
    (code) => ({ code }),
    (error) => ({ message: error.message }),
  );
  if (refused.code === undefined) {
    // The error must name the entry itself, not Node's modules in it.
    assert.match(refused.message, /eas-prediction\/emulator|\.\/emulator\b/);
    assert.doesNotMatch(refused.message, /node:/);
    return "by the bundler";
  }
  await assert.rejects(runScripts([refused.code]), { code: "ERR_EAS_UNSUPPORTED", message: /use createEmulator/ });
  return "when it starts";
}

/** Returns the texts that the code contains. */
function found(code, signs) {
  return Object.keys(signs).filter((name) => signs[name].test(code));
}

function pages(folder, name, programs) {
  return project(folder, `bundler-${name}`, { programs: Object.fromEntries(programs.map((each) => [each, each])) });
}

function requiringPage(folder, name) {
  const path = project(folder, `bundler-${name}-require`, { type: "commonjs" });
  const page = readProgram("page.js").replace(IMPORT, 'const $1 = require("eas-prediction");');
  writeFileSync(join(path, "page.js"), page);
  return path;
}
