// Memory of calls beyond the caller's data: 64 MB sent, 64 MB received, 10,000 concurrent calls. Each runs once in a
// fresh process. The server is a separate process.

import { bar } from "../bars.mjs";
import { Child } from "../child.mjs";
import { summary } from "../measure.mjs";

const ROUNDS = 3;
const MB = 2 ** 20;

const ROWS = [
  { what: "TFRequest of 64 MB, token", name: "request", client: "predict", auth: "token" },
  { what: "TFRequest of 64 MB, signed", name: "request", client: "predict", auth: "signature" },
  { what: "a TFRequest of 64 MB, zeroCopy", name: "request", client: "predict", auth: "token", zeroCopy: true },
  {
    what: "a TFRequest of 64 MB, token, not at rest",
    name: "request",
    client: "predict",
    auth: "token",
    isAtOnce: true,
  },
  { what: "64 MB of ready bytes", name: "ready bytes", client: "predict", auth: "token" },
  { what: "64 MB of ready bytes, Agent.dispatch", name: "ready bytes", client: "Agent.dispatch" },
  { what: "answer of 64 MB, as bytes", name: "response, bytes", client: "predict", auth: "token" },
  { what: "answer of 64 MB, as bytes, Agent.dispatch", name: "response, bytes", client: "Agent.dispatch" },
  { what: "TFResponse of 64 MB and its values", name: "response, values", client: "predict", auth: "token" },
  { what: "10,000 calls of 1 KB at once", name: "calls", client: "predict", auth: "token" },
  { what: "10,000 calls of 1 KB at once, Agent.dispatch", name: "calls", client: "Agent.dispatch" },
];

const NAME = "memory";

/** Measures all rows in one table. `short` measures the first row once. */
export async function run(wanted, report, { short = false } = {}) {
  if (!wanted(NAME)) return [];
  const server = new Child("calls/server.mjs");
  try {
    const origin = await server.ask("listen");
    const measured = ROWS.slice(0, short ? 1 : ROWS.length).map((row) => ({ ...row, samples: [] }));
    for (let round = 0; round < (short ? 1 : ROUNDS); round++) {
      for (const row of measured) row.samples.push(await inFreshProcess({ ...row, origin }));
    }
    const group = tableOf(measured.map(({ what, samples }) => ({ what, ...summaries(samples) })));
    report(group);
    return [group];
  } finally {
    server.end();
  }
}

async function inFreshProcess(settings) {
  const child = new Child("memory/memory-contender.mjs", settings);
  try {
    return await child.ask("measure");
  } finally {
    child.end();
  }
}

function summaries(samples) {
  const of = (figure) => summary(samples.map(figure));
  return {
    size: samples[0].size,
    peak: of(({ peak }) => peak),
    heap: of(({ heap }) => heap),
    ratio: of(({ peak, size }) => peak / size),
  };
}

function tableOf(figures) {
  const mb = (bytes) => (bytes / MB).toFixed(2);
  return {
    name: NAME,
    columns: [
      "",
      "body, MB",
      "peak beyond the caller's data, MB",
      "min..max",
      "times the body",
      "most JS heap beyond, MB",
    ],
    rows: figures.map(({ what, size, peak, heap, ratio }) => [
      what,
      mb(size),
      mb(peak.median),
      `${mb(peak.min)}..${mb(peak.max)}`,
      ratio.median.toFixed(2),
      mb(heap.median),
    ]),
    caption:
      "Each in a fresh process, after one small call and when the process is at rest: peak resident memory " +
      "(VmHWM, begun anew) beyond what was resident before, the heap looked at every 5 ms. MB of 1,048,576 bytes. Not at rest, " +
      "the engine still compiles undici's WebAssembly, whatever the body's size: with `node --liftoff-only` that is gone.",
    figures,
  };
}

export function bars(groups) {
  const ofRequest = groups.flatMap(({ figures }) => figures).filter(({ what }) => what.startsWith("TFRequest"));
  return ofRequest.map(({ what, ratio }) => bar(`memory: ${what}, peak / encoded body`, "≤ 1.3", ratio));
}
