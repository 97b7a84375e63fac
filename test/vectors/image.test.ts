import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type ImageOptions, pixelsToTensor } from "../../src/image/index.js";

// Results of Pillow for the same pixels, which image/make.py created.

interface Vector {
  readonly mode: string;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly seed: number;
  readonly options: ImageOptions<"DT_UINT8">;
  readonly result: string;
}

const { pillow, vectors } = JSON.parse(readFileSync(new URL("image/pillow.json", import.meta.url), "utf8")) as {
  pillow: string;
  vectors: Vector[];
};

function noise(seed: number, length: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}

describe(`bit for bit like Pillow ${pillow}`, () => {
  test.each(vectors)("$mode $width x $height: $options", ({ width, height, channels, seed, options, result }) => {
    const data = noise(seed, width * height * channels);
    const made = pixelsToTensor({ data, width, height, channels }, { ...options, layout: "NHWC", dtype: "DT_UINT8" });
    expect(Buffer.from(made.data)).toEqual(Buffer.from(result, "base64"));
  });

  test("the vectors cover every mode and option", () => {
    expect(vectors.length).toBeGreaterThanOrEqual(25);
  });
});
