// All checks by format: live calls, equal bytes, and responses written by Python; and the checks of the queue.
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { PredictClient } from "eas-prediction";
import { startEmulator } from "eas-prediction/emulator";
import { alipaiChecks } from "./alipai.mjs";
import { canonical } from "./canonical.mjs";
import { controlChecks } from "./control.mjs";
import { LIVE } from "./live.mjs";
import { Peer } from "./peer.mjs";
import { PYTHON_FAULTS } from "./python-faults.mjs";
import { pythonTestChecks } from "./python-tests.mjs";
import { queueChecks } from "./queue.mjs";
import { Random } from "./random.mjs";
import { easyrec, torchrec } from "./recommend-formats.mjs";
import { string } from "./string-format.mjs";
import { blade, bladeTf, onnx, tf, torch, torchSnappy } from "./tensor-formats.mjs";

const FORMATS = { string, tf, torch, torchSnappy, blade, bladeTf, onnx, easyrec, torchrec };
/** Name of the queue's checks where formats are selected. */
const QUEUE = "queue";
/** Names of the checks of the package alipai, and of the wheel's test modules. */
const ALIPAI = "alipai";
const PYTHON_TESTS = "python-tests";
/** Name of the checks of Alibaba's client of the EAS API. */
const CONTROL = "control";
const REQUESTS = 200;
const RESPONSES = 100;
/** Maximum number of failures printed per format. */
const SHOWN_FAILURES = 3;

/**
 * Runs all checks and prints the results. `pythons` returns the Python with a package. Returns whether all checks
 * passed.
 */
export async function check(pythons) {
  const python = pythons.sdk();
  const begun = performance.now();
  const seed = process.env.EAS_INTEROP_SEED || createHash("sha1").update(`${Date.now()}`).digest("hex").slice(0, 8);
  const wanted = wantedFormats();
  const emulator = await startEmulator();
  // Serves all formats: an empty response is a valid message in each of them.
  emulator.addService("sink", () => new Uint8Array(0));
  const client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "sink", token: emulator.token });
  const peer = new Peer(python);
  const results = [];
  try {
    const versions = await peer.ask("hello");
    console.log(`eas-prediction ${versions.sdk} on Python ${versions.python} with protobuf ${versions.protobuf}`);
    console.log(`EAS_INTEROP_SEED=${seed}\n`);
    for (const name of wanted) {
      const context = { peer, emulator, client };
      if (name === ALIPAI) results.push(...(await checkKinds(name, alipaiChecks(pythons.alipai()))));
      else if (name === CONTROL) results.push(...(await checkKinds(name, controlChecks(pythons.alipai()))));
      else if (name === PYTHON_TESTS) results.push(...(await checkKinds(name, pythonTestChecks(python))));
      else results.push(...(await (name === QUEUE ? checkQueue(context, python) : checkFormat(context, name, seed))));
    }
    const faults = PYTHON_FAULTS.filter(({ format }) => wanted.includes(format));
    await showPythonFaults(peer, faults);
    results.push(await runChecks("where Python is wrong", faultChecks(faults)));
  } finally {
    await client.close();
    await emulator.close();
    await peer.end();
  }
  return report(results, seed, (performance.now() - begun) / 1000);
}

function wantedFormats() {
  const all = [...Object.keys(FORMATS), QUEUE, PYTHON_TESTS, ALIPAI, CONTROL];
  const wanted = process.env.EAS_INTEROP_FORMATS?.split(",") ?? all;
  const unknown = wanted.find((name) => !all.includes(name));
  if (unknown !== undefined) throw new Error(`no format "${unknown}": there are ${all.join(", ")}`);
  return wanted;
}

async function checkQueue(context, python) {
  const { kinds, end } = queueChecks(context, python);
  try {
    return await checkKinds(QUEUE, kinds);
  } finally {
    await end();
  }
}

function checkFormat(context, name, seed) {
  const format = FORMATS[name];
  const specs = randomRequests(format, new Random(`${seed} ${name} requests`));
  const kinds = {
    live: liveChecks(context, name),
    requests: requestChecks(context, name, format, specs),
    dtypes: dtypeChecks(format, specs),
    responses: responseChecks(context, name, format, new Random(`${seed} ${name} responses`)),
  };
  return checkKinds(name, kinds);
}

/** Runs all checks of one format, or of the queue, and prints a line with the result. */
async function checkKinds(name, kinds) {
  const begun = performance.now();
  const results = [];
  const line = [];
  for (const [kind, checks] of Object.entries(await kinds)) {
    const result = await runChecks(`${name}, ${kind}`, checks);
    results.push(result);
    const failed = result.failures.length === 0 ? "" : ` and ${result.failures.length} FAILED`;
    if (checks.length > 0) line.push(`${result.passed} ${kind}${failed}`);
  }
  console.log(`  ${name.padEnd(12)} ${line.join(", ")}, ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  return results;
}

/** Prints failures and the closing line. */
function report(results, seed, seconds) {
  const failures = results.flatMap(({ failures }) => failures);
  const passed = results.reduce((sum, result) => sum + result.passed, 0).toLocaleString("en-US");
  if (failures.length === 0) {
    console.log(`\ninterop: ${passed} checks passed in ${Math.round(seconds)} s`);
    return true;
  }
  for (const failure of failures) console.error(`\n${failure}`);
  console.error(`\ninterop: ${failures.length} checks failed, ${passed} passed; EAS_INTEROP_SEED=${seed}`);
  return false;
}

/** Runs named checks one after another. A check fails if its function throws or rejects. */
async function runChecks(of, checks) {
  let passed = 0;
  const failures = [];
  for (const [name, holds] of checks) {
    try {
      await holds();
      passed++;
    } catch (error) {
      failures.push(`${of}: ${name}${failures.length < SHOWN_FAILURES ? `\n${error.stack}` : ""}`);
    }
  }
  return { passed, failures };
}

function liveChecks(context, name) {
  return Object.entries(LIVE[name]).map(([what, call]) => [what, () => call(context)]);
}

function randomRequests(format, random) {
  return Array.from({ length: REQUESTS }, () => ({ ...format.request(random), typed: random.once(2) }));
}

/** Checks that the generators cover all dtypes of the Python class, by case-insensitive name. */
function dtypeChecks({ dtypes = [] }, specs) {
  const all = JSON.stringify(specs).toUpperCase();
  return dtypes.map((dtype) => [
    dtype,
    () => {
      if (!all.includes(`"${dtype.toUpperCase()}"`)) throw new Error("no random request contains it");
    },
  ]);
}

/** Both clients send requests built from the same values. The bytes that the emulator received are compared. */
function requestChecks(context, name, format, specs) {
  return specs.map((spec, i) => [
    `request ${i}`,
    async () => {
      const theirs = await sentByPython(context, format.class ?? name, spec);
      const ours = await sentByOurs(context, format.ours(spec));
      const a = await canonicalOf(theirs.body, format, context);
      const b = await canonicalOf(ours.body, format, context);
      if (Buffer.compare(a, b) !== 0) throw new Error(`${difference(a, b)}\n${show(spec)}`);
      const [type, own] = [theirs, ours].map(({ headers }) => headers.get("content-type"));
      if (type !== own) throw new Error(`${show(spec)}\ncontent-type: Python ${type}, ours ${own}`);
      if (theirs.auth !== "signature") throw new Error(`Python is authorised by ${theirs.auth}`);
    },
  ]);
}

async function canonicalOf(body, { schema, plain }, context) {
  const bytes = plain === undefined ? body : await plain(body, context);
  return schema === undefined ? Buffer.from(bytes) : canonical(bytes, schema);
}

async function sentByPython({ peer, emulator }, format, { new: args, steps }) {
  const { endpoint, token } = emulator;
  await peer.ask("predict", { endpoint, service: "sink", customUrl: "", token, format, new: args, steps, reads: [] });
  return emulator.requests.at(-1);
}

async function sentByOurs({ client, emulator }, request) {
  await client.predict(request);
  return emulator.requests.at(-1);
}

/** Checks that the response class of this package reads messages written by Python's protobuf classes. */
function responseChecks({ peer }, name, format, random) {
  if (format.response === undefined) return [];
  return Array.from({ length: RESPONSES }, (_, i) => {
    const spec = format.response(random);
    return [
      `response ${i}`,
      async () => {
        const { bytes } = await peer.ask("respond", { format: name, fields: spec.fields });
        const given = format.read(new Uint8Array(Buffer.from(bytes, "base64")), spec);
        if (!isDeepStrictEqual(given, spec.holds)) {
          throw new Error(`${hex(Buffer.from(bytes, "base64"))}\nholds ${show(spec.holds)}\nours  ${show(given)}`);
        }
      },
    ];
  });
}

/** Reports which faults of the SDK remain. A fault that a new version has fixed is not a failure. */
async function showPythonFaults(peer, faults) {
  const gone = [];
  for (const { name, format, new: args, steps, python } of faults) {
    const outcome = await peer.ask("serialize", { format, new: args, steps }).then(
      ({ bytes }) => Buffer.from(bytes, "base64").toString("hex"),
      (error) => error.message,
    );
    if (!python.test(outcome)) gone.push(`    ${name}: now ${outcome}`);
  }
  console.log(`\n  ${faults.length - gone.length} of ${faults.length} known faults of the SDK are still there`);
  if (gone.length > 0) console.log(`  GONE, so python-faults.mjs and the generators may follow:\n${gone.join("\n")}`);
}

/** Checks the behavior of this package for the same input. */
function faultChecks(faults) {
  return faults.map(({ name, format, new: args, steps, ours }) => [
    name,
    () => {
      let outcome;
      try {
        outcome = Buffer.from(FORMATS[format].ours({ new: args, steps, typed: true }).toBinary()).toString("hex");
      } catch (error) {
        outcome = `${error.name}: ${error.message}`;
      }
      if (!ours.test(outcome)) throw new Error(`this package returned ${outcome} instead of ${ours}`);
    },
  ]);
}

const show = (value) => {
  const text = JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}n` : part));
  return text.length > 2000 ? `${text.slice(0, 2000)}… (${text.length} characters)` : text;
};

const hex = (bytes) => {
  const text = bytes.toString("hex");
  return text.length > 2000 ? `${text.slice(0, 2000)}… (${bytes.length} bytes)` : text;
};

/** Returns parts of both messages from shortly before the first byte that differs. */
function difference(python, ours) {
  const at = python.findIndex((byte, i) => byte !== ours[i]);
  const first = at === -1 ? python.length : at;
  const part = (bytes) => bytes.subarray(Math.max(0, first - 24), first + 24).toString("hex");
  return `byte ${first} of ${python.length} and ${ours.length}:\nPython …${part(python)}…\nours   …${part(ours)}…`;
}
