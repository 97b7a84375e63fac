// The ways of one kind to encode and to decode: ours, and a copy beside it, since what fresh memory costs depends on what
// the process has had and given back before; or the generated codec's.

import { createHash } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { TFRequest, TFResponse } from "eas-prediction";
import { ArrayDataType, PredictRequestSchema, PredictResponseSchema } from "eas-prediction/proto/tf";
import { serve, settings } from "./child.mjs";
import { INPUT, OUTPUT, SHAPE, SIGNATURE, TENSORS } from "./data.mjs";
import { loop } from "./measure.mjs";

const { kind } = settings();
let loops;

serve({
  /** Makes the ways, and answers with a proof of what each comes to; then warms them up. */
  prepare({ direction, tensor }) {
    const ways = { encode: encoding, decode: decoding }[direction](TENSORS[tensor])[kind];
    const proofs = Object.entries(ways).map(([name, { run, proof }]) => [name, proof(run())]);
    loops = Object.fromEntries(Object.entries(ways).map(([name, { run }]) => [name, loop(run)]));
    return Object.fromEntries(proofs);
  },
  sample: (name) => loops[name](),
});

function encoding({ dtype, field, make }) {
  const values = make();
  const build = () => new TFRequest(SIGNATURE).addFeed(INPUT, SHAPE, dtype, values);
  const message = (numbers) =>
    create(PredictRequestSchema, { signatureName: SIGNATURE, inputs: { [INPUT]: array(dtype, field, numbers) } });
  const ready = build();
  const readyMessage = message(Array.from(values));
  const bytes = toBinary(PredictRequestSchema, readyMessage);
  return {
    ours: {
      copy: { run: copying(bytes), proof: digest },
      ours: { run: () => build().toBinary(), proof: digest },
      "ours, toBinary only": { run: () => ready.toBinary(), proof: digest },
    },
    generated: {
      generated: { run: () => toBinary(PredictRequestSchema, message(Array.from(values))), proof: digest },
      // At its best: the numbers are a plain array already, and the message is there.
      "generated, toBinary only": { run: () => toBinary(PredictRequestSchema, readyMessage), proof: digest },
    },
  };
}

function decoding({ dtype, field, make }) {
  const values = make();
  const List = values.constructor;
  const message = create(PredictResponseSchema, { outputs: { [OUTPUT]: array(dtype, field, Array.from(values)) } });
  const bytes = toBinary(PredictResponseSchema, message);
  const generated = () => fromBinary(PredictResponseSchema, bytes).outputs[OUTPUT][field];
  const digestValues = (decoded) => digest(new Uint8Array(decoded.buffer, decoded.byteOffset, decoded.byteLength));
  return {
    ours: {
      // What it copies is encoded: proved by decoding it.
      copy: {
        run: copying(bytes),
        proof: (copy) => digestValues(new List(fromBinary(PredictResponseSchema, copy).outputs[OUTPUT][field])),
      },
      ours: { run: () => new TFResponse(bytes).getValues(OUTPUT, dtype), proof: digestValues },
    },
    generated: {
      generated: { run: () => new List(generated()), proof: digestValues },
      // At its best: the caller is content with a plain array.
      "generated, to a plain array": { run: generated, proof: (numbers) => digestValues(new List(numbers)) },
    },
  };
}

function array(dtype, field, numbers) {
  return { dtype: ArrayDataType[dtype], arrayShape: { dim: SHAPE.map(BigInt) }, [field]: numbers };
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
