// The ways of one kind to encode and to decode: ours, and a copy beside it, since what fresh memory costs depends on what
// the process has had and given back before; or the generated codec's.

import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { serve, settings } from "../child.mjs";
import { loop, single } from "../measure.mjs";
import { CASES } from "./codec-cases.mjs";
import { FORMATS } from "./codec-formats.mjs";
import { decodingFrames } from "./codec-frames.mjs";

const { kind } = settings();
let loops;

serve({
  /** Makes the ways, and answers with a proof of what each comes to; then warms them up. */
  async prepare({ direction, name, warmUp }) {
    const ways = waysOf(direction, CASES[name])[kind];
    const proofs = {};
    loops = {};
    for (const [name, { run, proof, asynchronous, slow }] of Object.entries(ways)) {
      proofs[name] = proof(await run());
      loops[name] = slow ? single(run) : await loop(run, { warmUp, asynchronous });
    }
    return proofs;
  },
  sample: (name) => loops[name](),
  /** The values and a response of them, for contenders that are not JavaScript. */
  write({ name, values, response }) {
    const { format, tensors } = CASES[name];
    const { response: encode, contentOf } = FORMATS[format];
    const [tensor] = tensors();
    writeFileSync(values, tensor.values);
    writeFileSync(response, encode([tensor], [contentOf(tensor)]));
    return { dtype: tensor.dtype, shape: tensor.shape };
  },
});

function waysOf(direction, { format, tensors, full, slow, ...frames }) {
  if (format === "DataFrame") return decodingFrames(frames, copying);
  return { encode: encoding, decode: decoding }[direction](FORMATS[format], tensors(), full, slow);
}

function encoding(format, tensors, full, slow) {
  const build = () => format.request(tensors);
  const message = () => format.requestMessage(tensors, tensors.map(format.contentOf));
  const ways = {
    ours: {
      copy: { run: copying(build().toBinary()), proof: digest },
      ours: { run: () => build().toBinary(), proof: digest },
    },
    generated: { generated: { run: () => format.encode(message()), proof: digest, slow } },
  };
  // At their best: the request is there, or the message, with plain arrays of numbers.
  if (full) {
    const ready = kind === "ours" ? build() : message();
    ways.ours["ours, toBinary only"] = { run: () => ready.toBinary(), proof: digest };
    ways.generated["generated, toBinary only"] = { run: () => format.encode(ready), proof: digest };
  }
  return ways;
}

function decoding(format, tensors, full, slow) {
  const bytes = format.response(tensors, tensors.map(format.contentOf));
  const convert = (contents) => contents.map((content, i) => format.valuesOf(content, tensors[i]));
  const generated = () => format.contents(bytes, tensors);
  const ways = {
    ours: {
      // What it copies is encoded: proved by decoding it.
      copy: { run: copying(bytes), proof: (copy) => digestValues(format.read(copy, tensors)) },
      ours: { run: () => format.read(bytes, tensors), proof: digestValues },
    },
    generated: { generated: { run: () => convert(generated()), proof: digestValues, slow } },
  };
  // At its best: the caller is content with a plain array.
  if (full) {
    const proof = (contents) => digestValues(convert(contents));
    ways.generated["generated, to a plain array"] = { run: generated, proof };
  }
  return ways;
}

/** What is before the elements, and the elements in one piece, into fresh memory. */
function copying(bytes) {
  const head = bytes.slice(0, 64);
  const elements = bytes.slice(64);
  return () => {
    const copy = new Uint8Array(head.length + elements.length);
    copy.set(head);
    copy.set(elements, head.length);
    return copy;
  };
}

function digest(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Of typed arrays their memory alone, as other languages have it too. */
function digestValues(values) {
  const hash = createHash("sha256");
  for (const one of values) hash.update(Array.isArray(one) ? JSON.stringify(one) : one);
  return hash.digest("hex");
}
