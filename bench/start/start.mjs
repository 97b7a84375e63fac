// Cost of the start: the import in a cold process, the files loaded then and on first use, and the bundle of a Worker.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { pageOf } from "../../scripts/bundles.mjs";
import { bar } from "../bars.mjs";
import { Child } from "../child.mjs";
import { cpuSeconds, measure, summary } from "../measure.mjs";
import { pythonSdks } from "../python/environment.mjs";
import { loadedFiles } from "./loaded-files.mjs";

const ROUNDS = 15;
const BUDGET = 35_000;
const IMPORT = "start: import in a cold process";
const LOADED = "start: what is loaded";
const WORKER = "start: a Worker's bundle";
const EMPTY = "empty process";
const EMPTY_COMMONJS = "empty process, CommonJS";
const OURS = "eas-prediction";
const OURS_COMMONJS = "eas-prediction, CommonJS";

const fileOf = (name) => fileURLToPath(new URL(name, import.meta.url));

/** Measures the tables that are `wanted`. `short` has fewer rounds, and no Python. */
export async function run(wanted, report, { short = false } = {}) {
  const tables = { [IMPORT]: () => imports(short), [LOADED]: loaded, [WORKER]: workers };
  const groups = [];
  for (const [name, make] of Object.entries(tables)) {
    if (!wanted(name)) continue;
    groups.push(await make());
    report(groups.at(-1));
  }
  return groups;
}

function imports(short) {
  const node = (name, file, ceiling) => contender(name, process.execPath, [fileOf(file)], [ceiling]);
  const contenders = [
    node(EMPTY, "empty.mjs", EMPTY),
    node(OURS, "ours.mjs", EMPTY),
    node("undici alone", "undici.mjs", EMPTY),
    node("@bufbuild/protobuf alone", "protobuf.mjs", EMPTY),
    node(EMPTY_COMMONJS, "empty.cjs", EMPTY_COMMONJS),
    node(OURS_COMMONJS, "ours.cjs", EMPTY_COMMONJS),
  ];
  for (const { name, python } of short ? [] : pythonSdks()) {
    const empty = `empty Python of ${name}`;
    contenders.push(contender(empty, python, ["-c", "pass"], [empty]));
    contenders.push(contender(name, python, ["-c", "import eas_prediction"], [empty]));
  }
  const processes = [process.pid];
  const group = { name: IMPORT, unit: "ms", ceiling: [EMPTY], contenders, processes };
  return measure({ ...group, rounds: short ? 5 : ROUNDS, budget: short ? BUDGET / 5 : BUDGET });
}

/** The time from the start of a process to its end. */
function contender(name, command, args, ceiling) {
  const sample = () => {
    const cpuBefore = cpuSeconds(process.pid);
    const start = performance.now();
    const { status, error, stderr } = spawnSync(command, args, { timeout: 20_000 });
    const value = performance.now() - start;
    if (status !== 0) throw new Error(`${name}: ${error?.message ?? stderr}`);
    return { value, cpuMicroseconds: 1e6 * (cpuSeconds(process.pid) - cpuBefore) };
  };
  return { name, ceiling, sample };
}

/**
 * Operations after the import, by their names in start/first-use.mjs. Each adds to the files that the import has
 * loaded.
 */
const FIRST_USES = {
  "a TFRequest encoded": "encode",
  "a call with a token": "token",
  "a signed call": "signature",
  "a call to an instance": "direct",
  "a stream": "stream",
  "a watch": "watch",
  "eas-prediction/compression/snappy": "snappy",
};

async function loaded() {
  const server = new Child("calls/server.mjs");
  try {
    const origin = await server.ask("listen");
    const atImport = loadedFiles(fileOf("ours.mjs"));
    const known = new Set(atImport.map(({ path }) => path));
    const rows = [
      rowOf("import", atImport),
      rowOf("require", loadedFiles(fileOf("ours.cjs"))),
      ...Object.entries(FIRST_USES).map(([what, step]) => {
        const more = loadedFiles(fileOf("first-use.mjs"), [step, origin]).filter(({ path }) => !known.has(path));
        return rowOf(`import, then ${what}: more`, more);
      }),
    ];
    return {
      name: LOADED,
      columns: ["", "files of dist", "kB", "files of node_modules", "kB", "packages and late files"],
      rows,
      caption:
        "As they lie on the disk: dist is not minified. kB of 1,000 bytes. A late file is one that `import()` loads.",
      atImport,
    };
  } finally {
    server.end();
  }
}

function rowOf(what, files) {
  const ours = files.filter(({ path }) => path.startsWith("dist/"));
  const others = files.filter(({ path }) => !path.startsWith("dist/"));
  const kB = (some) => (some.reduce((sum, { bytes }) => sum + bytes, 0) / 1000).toFixed(1);
  const packages = others.map(({ path }) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)[1]);
  // Names without the hash of the build. A file that several others share is called a chunk.
  const late = ours.map(({ path }) => path.slice("dist/".length).replace(/-[A-Z0-9]{8}(?=\.c?js)/, ""));
  const named = late.filter((name) => !name.startsWith("chunk."));
  return [
    what,
    String(ours.length),
    kB(ours),
    String(others.length),
    kB(others),
    [...new Set([...named, ...packages])].join(", "),
  ];
}

/** The imports of a Worker. */
const WORKERS = {
  "PredictClient and TFRequest": 'export { PredictClient, TFRequest } from "eas-prediction"',
  everything: 'export * from "eas-prediction"',
};

async function workers() {
  const folder = mkdtempSync(join(tmpdir(), "worker-"));
  try {
    const figures = [];
    for (const [name, code] of Object.entries(WORKERS)) {
      const script = await workerOf(code);
      const file = join(folder, "worker.js");
      writeFileSync(file, script);
      const times = Array.from({ length: ROUNDS }, () => evaluationOf(file));
      figures.push({
        name,
        bytes: script.length,
        gzip: gzipSync(script, { level: 9 }).length,
        evaluation: summary(times),
      });
    }
    return {
      name: WORKER,
      columns: ["imports", "kB", "kB gzipped", "compiled and run, ms", "min..max"],
      rows: figures.map(({ name, bytes, gzip, evaluation: { median, min, max } }) => [
        name,
        (bytes / 1000).toFixed(1),
        (gzip / 1000).toFixed(1),
        median.toFixed(2),
        `${min.toFixed(2)}..${max.toFixed(2)}`,
      ]),
      caption:
        "One minified file with the condition `workerd`, late files included, by esbuild; compiled and run for the first time in " +
        "a fresh process, by Node's V8. kB of 1,000 bytes.",
      figures,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** In one file and as a script, so that it can be timed without module loading. */
async function workerOf(code) {
  const { outputFiles } = await build({
    ...pageOf(code),
    format: "iife",
    globalName: "worker",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["workerd"],
  });
  return outputFiles[0].text;
}

function evaluationOf(file) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [fileOf("evaluate.mjs"), file], { timeout: 20_000 });
  if (status !== 0) throw new Error(`the Worker's bundle failed: ${stderr}`);
  return Number(stdout);
}

export function bars(groups) {
  const group = groups.find(({ name }) => name === IMPORT);
  if (group === undefined) return [];
  const beyond = (over, under) => summary(group.samples.map((round) => round[over].value - round[under].value));
  return [
    bar("import: ms over an empty process", "≤ 25", beyond(OURS, EMPTY)),
    bar("require: ms over an empty process", "≤ 25", beyond(OURS_COMMONJS, EMPTY_COMMONJS)),
  ];
}
