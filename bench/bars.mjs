// The bars of design §6 that the cases here can answer. All are about medians of ratios; the range goes along, since a
// median near its bar on a noisy machine proves little.

import { bestRatio, likeRatio } from "./codec.mjs";
import { cpuRatio, ratio, summary } from "./measure.mjs";

/** The official Python SDK, measured on another machine (reference/peer-baseline.md): figures to compare with, not ratios. */
const PYTHON = { encodeList: 2.78, encodeNumpy: 6.8, signedCalls: 3255 };

export function barsOf({ codec = [], calls = [] }) {
  const bars = [];
  const add = (what, limit, figures, note = "") => {
    const [sign, number] = limit.split(" ");
    const holds = sign === "≤" ? figures.median <= Number(number) : figures.median >= Number(number);
    bars.push({ what, limit, ...figures, holds, note });
  };
  const among = (groups) => (name) => groups.find((group) => group.name === name);

  const encode = among(codec)("encode float32");
  if (encode) {
    add(
      "encode float32 / copy into fresh memory",
      "≤ 2.5",
      ratio(encode, "ours", "copy"),
      cpuNote(cpuRatio(encode, "ours", "copy")),
    );
    const ours = encode.samples.map((round) => round.ours.value);
    const elsewhere = "Python was measured on another machine";
    add("encode: times faster than Python, list", "≥ 10", summary(ours.map((ms) => PYTHON.encodeList / ms)), elsewhere);
    add(
      "encode: times faster than Python, numpy",
      "≥ 25",
      summary(ours.map((ms) => PYTHON.encodeNumpy / ms)),
      elsewhere,
    );
    const decode = among(codec)("decode float32");
    add(
      "decode float32 / copy into fresh memory",
      "≤ 1.5",
      ratio(decode, "ours", "copy"),
      cpuNote(cpuRatio(decode, "ours", "copy")),
    );
  }
  for (const group of codec.filter(({ name }) => name.includes("int"))) {
    add(
      `${group.name}: times faster than generated`,
      "≥ 4",
      likeRatio(group),
      `against its best: ${bestRatio(group).median}`,
    );
  }

  for (const group of calls) {
    const addRatio = (what, limit, over, under) =>
      add(`${group.name}: ${what}`, limit, ratio(group, over, under), cpuNote(cpuRatio(group, over, under)));
    const small = group.name.startsWith("1 KB");
    if (small && group.name.includes("64")) {
      addRatio("predict / Agent.dispatch", "≥ 0.85", "predict", "Agent.dispatch");
      addRatio("predict / undici.request", "≥ 1", "predict", "undici.request");
      addRatio("signed, predict / Agent.dispatch + MD5 + HMAC", "≥ 0.85", "predict, signed", "Agent.dispatch, signed");
      const rates = group.samples.map((round) => round["predict, signed"].value / PYTHON.signedCalls);
      add(
        `${group.name}: signed, times the Python SDK`,
        "≥ 7",
        summary(rates),
        "Python was measured on another machine",
      );
    } else if (!small) {
      addRatio("predict / the fastest bare client", "≥ 0.9", "predict", [
        "Agent.dispatch",
        "undici.request",
        "node:http",
      ]);
    }
  }
  return bars;
}

function cpuNote({ median }) {
  return `by processor time: ${median.toFixed(2)}`;
}
