// The ways to encode and decode of one contender: ours with a copy for comparison, or the generated codec. The copy
// runs in the same process, because the cost of fresh memory depends on earlier allocations.

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
  /** Creates the ways, returns a proof of their results, and warms them up. */
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
  /** Returns the values and a response with them, for contenders in other languages. */
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
  // Best case: the request or message exists, with plain arrays of numbers.
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
      // The copy is encoded data, which decoding proves.
      copy: { run: copying(bytes), proof: (copy) => digestValues(format.read(copy, tensors)) },
      ours: { run: () => format.read(bytes, tensors), proof: digestValues },
    },
    generated: { generated: { run: () => convert(generated()), proof: digestValues, slow } },
  };
  // Best case: the caller accepts a plain array.
  if (full) {
    const proof = (contents) => digestValues(convert(contents));
    ways.generated["generated, to a plain array"] = { run: generated, proof };
  }
  return ways;
}

/** Copies the header and the elements into fresh memory. */
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

/** Compares only the memory of typed arrays, as other languages do. */
function digestValues(values) {
  const hash = createHash("sha256");
  for (const one of values) hash.update(Array.isArray(one) ? JSON.stringify(one) : one);
  return hash.digest("hex");
}
