import weights from "./digits/weights.json" with { type: "json" };

const PIXELS = 64;
const CLASSES = 10;

interface Layer {
  readonly inputs: number;
  readonly outputs: number;
  /** Row-major [inputs][outputs]. */
  readonly weights: Float32Array;
  readonly bias: Float32Array;
}

const LAYERS: readonly Layer[] = weights.layers.map((layer) => ({
  inputs: layer.inputs,
  outputs: layer.outputs,
  weights: Float32Array.from(layer.weights),
  bias: Float32Array.from(layer.bias),
}));

/** Fraction (0 to 1) of the 200 held-out images (`heldOutDigits`) that `classifyDigits` classifies correctly. */
export const DIGITS_HELD_OUT_ACCURACY: number = weights.heldOutAccuracy;

/**
 * Classifies handwritten digits.
 *
 * @param pixels - [count][64]: 8x8 images in row order, with values from 0 (blank) to 16 (full ink).
 * @returns [count][10]: the probabilities of the digits 0 to 9.
 * @throws RangeError if `pixels` does not have `count` images.
 */
export function classifyDigits(pixels: Float32Array, count: number): Float32Array {
  if (!Number.isInteger(count) || count < 0 || pixels.length !== count * PIXELS) {
    throw new RangeError(`classifyDigits: expected count x ${PIXELS} pixels, got ${pixels.length} for count ${count}`);
  }
  const probabilities = new Float32Array(count * CLASSES);
  for (let image = 0; image < count; image++) {
    let values = pixels.subarray(image * PIXELS, (image + 1) * PIXELS).map((pixel) => pixel / 16);
    LAYERS.forEach((layer, index) => {
      values = dense(layer, values, index < LAYERS.length - 1);
    });
    probabilities.set(softmax(values), image * CLASSES);
  }
  return probabilities;
}

function dense(layer: Layer, input: Float32Array, relu: boolean): Float32Array<ArrayBuffer> {
  const output = new Float32Array(layer.outputs);
  for (let o = 0; o < layer.outputs; o++) {
    let sum = layer.bias[o]!;
    for (let i = 0; i < layer.inputs; i++) sum += input[i]! * layer.weights[i * layer.outputs + o]!;
    output[o] = relu ? Math.max(sum, 0) : sum;
  }
  return output;
}

function softmax(logits: Float32Array): Float32Array {
  // Subtracting the maximum makes the largest exponent 0, so `exp` cannot overflow.
  const max = Math.max(...logits);
  const exponentials = Array.from(logits, (logit) => Math.exp(logit - max));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return Float32Array.from(exponentials, (value) => value / sum);
}
