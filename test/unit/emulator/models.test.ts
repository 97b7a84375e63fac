import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { classifyDigits, DIGITS_HELD_OUT_ACCURACY } from "../../../src/emulator/models/digits.js";
import { heldOutDigits } from "../../../src/emulator/models/digits-held-out.js";
import { generate, type Sampling } from "../../../src/emulator/models/language-model.js";
import { CHINESE } from "../../../src/emulator/models/llm/chinese.js";
import { ENGLISH } from "../../../src/emulator/models/llm/english.js";
import { NgramModel, tokenize } from "../../../src/emulator/models/ngram.js";
import { SCORECARD_FEATURES, scoreApplicants, scorecardSamples } from "../../../src/emulator/models/scorecard.js";

const { images, labels } = heldOutDigits;
const argmax = (values: Float32Array): number => values.indexOf(Math.max(...values));

describe("digits", () => {
  const probabilities = classifyDigits(Float32Array.from(images.flat()), images.length);
  const row = (index: number): Float32Array => probabilities.subarray(index * 10, index * 10 + 10);

  it("holds out 20 images of each digit, with 64 pixels from 0 to 16", () => {
    expect(images.length).toBe(200);
    expect(images.every((image) => image.length === 64)).toBe(true);
    expect(images.flat().every((pixel) => Number.isInteger(pixel) && pixel >= 0 && pixel <= 16)).toBe(true);
    for (let digit = 0; digit < 10; digit++) expect(labels.filter((label) => label === digit).length).toBe(20);
  });

  it("reaches exactly the accuracy that the training script measured", () => {
    const correct = labels.filter((label, index) => argmax(row(index)) === label).length;
    expect(correct / 200).toBe(DIGITS_HELD_OUT_ACCURACY);
    expect(DIGITS_HELD_OUT_ACCURACY).toBeGreaterThanOrEqual(0.95);
  });

  it("returns ten probabilities that sum to 1 for each image", () => {
    expect(probabilities.length).toBe(2000);
    expect(probabilities.every((value) => value >= 0 && value <= 1)).toBe(true);
    for (let index = 0; index < 200; index++) {
      expect(Math.abs(row(index).reduce((sum, value) => sum + value, 0) - 1)).toBeLessThan(1e-5);
    }
  });

  it("classifies an image the same alone and in a batch", () => {
    expect(classifyDigits(Float32Array.from(images[199]!), 1)).toEqual(row(199).slice());
  });

  it("returns finite probabilities for pixels that are far out of range", () => {
    const extreme = classifyDigits(new Float32Array(64).fill(1e6), 1);
    expect(extreme.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5);
  });

  it("accepts an empty batch and throws if the length does not match the count", () => {
    expect(classifyDigits(new Float32Array(0), 0).length).toBe(0);
    expect(() => classifyDigits(new Float32Array(63), 1)).toThrow(RangeError);
    expect(() => classifyDigits(new Float32Array(128), 1)).toThrow(RangeError);
    expect(() => classifyDigits(new Float32Array(32), 0.5)).toThrow(RangeError);
    expect(() => classifyDigits(new Float32Array(0), -1)).toThrow(RangeError);
  });
});

describe("scorecard", () => {
  const good = scorecardSamples[0]!.features;

  it("scores the five held-out samples as the training script expects", () => {
    expect(scorecardSamples.length).toBe(5);
    const results = scoreApplicants(scorecardSamples.map((sample) => sample.features));
    results.forEach((result, index) => {
      const { expected } = scorecardSamples[index]!;
      expect(Math.abs(result.probability / expected.probability - 1)).toBeLessThan(1e-9);
      expect(result.score).toBe(expected.score);
      expect(result.label).toBe(expected.label);
    });
    expect(new Set(results.map((result) => result.label))).toEqual(new Set(["benign", "malignant"]));
  });

  it("scales points as documented: 600 at odds of 50:1, 20 points double the odds", () => {
    for (const { probability, score } of scoreApplicants(scorecardSamples.map((sample) => sample.features))) {
      const points = 600 + 20 * Math.log2(probability / (1 - probability) / 50);
      expect(Math.abs(score - points)).toBeLessThanOrEqual(0.5 + 1e-6);
    }
  });

  it("names eight snake_case features and accepts them in any order", () => {
    expect(SCORECARD_FEATURES.length).toBe(8);
    expect(SCORECARD_FEATURES.every((name) => /^[a-z]+(_[a-z]+)*$/.test(name))).toBe(true);
    const reversed = Object.fromEntries(Object.entries(good).reverse());
    expect(scoreApplicants([reversed])).toEqual(scoreApplicants([good]));
    expect(scoreApplicants([])).toEqual([]);
  });

  const { mean_radius: _, ...incomplete } = good;
  const text = JSON.stringify(good);
  const bad: readonly [string, unknown, RegExp][] = [
    ["a missing feature", incomplete, /^row 1: feature "mean_radius" is missing; expected /],
    ["an inherited feature", Object.assign(Object.create({ mean_radius: 14 }), incomplete), /"mean_radius" is missing/],
    ["a feature that is a string", { ...good, mean_radius: "14" }, /^row 1: feature "mean_radius" is not a finite/],
    ["a feature that is null", { ...good, mean_radius: null }, /"mean_radius" is not a finite number/],
    ["a feature that is NaN", { ...good, mean_radius: Number.NaN }, /"mean_radius" is not a finite number/],
    ["a feature that overflows", { ...good, mean_fractal_dimension: 1.7e308 }, /"mean_fractal_dimension" is too large/],
    ["an unknown feature", { ...good, age: 30 }, /^row 1: unknown feature "age"; expected /],
    [
      "a key __proto__",
      JSON.parse(text.replace("{", '{"__proto__":{"mean_radius":1},')),
      /unknown feature "__proto__"/,
    ],
    ["a key constructor", JSON.parse(text.replace("{", '{"constructor":1,')), /unknown feature "constructor"/],
    ["all features below __proto__", JSON.parse(`{"__proto__":${text}}`), /unknown feature "__proto__"/],
    ["an empty object", {}, /"mean_radius" is missing/],
    ["null", null, /^row 1: not an object/],
    ["an array", [14], /^row 1: not an object/],
  ];
  it.each(bad)("throws for %s", (_what, row, message) => {
    const call = () => scoreApplicants([good, row as Record<string, unknown>]);
    expect(call).toThrow(TypeError);
    expect(call).toThrow(message);
    for (const name of SCORECARD_FEATURES) expect(call).toThrow(name);
  });

  it("throws for rows that are not an array, and keeps the message short for a long key", () => {
    expect(() => scoreApplicants({} as never)).toThrow(TypeError);
    let message = "";
    try {
      scoreApplicants([{ ["x".repeat(100_000)]: 1 }]);
    } catch (error) {
      message = String(error);
    }
    expect(message).toMatch(/unknown feature "xxx/);
    expect(message.length).toBeLessThan(400);
  });
});

describe("language model", () => {
  const greedy: Sampling = {
    temperature: 0,
    topP: 1,
    topK: 0,
    seed: undefined,
    maxTokens: 500,
    ignoresEnd: false,
  };
  const write = (prompt: string, sampling: Partial<Sampling> = {}) => [...generate(prompt, { ...greedy, ...sampling })];
  const texts = [
    ["Chinese", CHINESE],
    ["English", ENGLISH],
  ] as const;
  const linesOf = (text: string) => text.trim().split("\n");
  const asText = (lines: readonly string[]) => tokenize(`\n${lines.join("\n")}\n`);

  it("splits any text into tokens that restore the text", () => {
    expect(tokenize("道可道，a new-born cat's 42 cats.\n")).toEqual([
      "道",
      "可",
      "道",
      "，",
      "a",
      " new",
      "-",
      "born",
      " cat's",
      " 42",
      " cats",
      ".",
      "\n",
    ]);
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: fc.constantFrom("道", "a", " ", "1", "\ud83d") }),
    );
    fc.assert(
      fc.property(text, (any) => {
        expect(tokenize(any).join("")).toBe(any);
      }),
    );
  });

  it.each(texts)("returns probabilities that sum to 1: %s", (_, text) => {
    const tokens = tokenize(text);
    const model = new NgramModel(tokens, 5);
    const token = fc.oneof(fc.constantFrom(...model.vocabulary), fc.constant("not in the text"));
    const anywhere = fc.nat(tokens.length - 6).map((at) => tokens.slice(at, at + 6));
    fc.assert(
      fc.property(fc.oneof(fc.array(token, { maxLength: 6 }), anywhere), (history) => {
        const likely = model.distribution(history);
        expect(likely.length).toBe(model.vocabulary.length + 1);
        expect(Math.min(...likely)).toBeGreaterThan(0);
        expect(likely.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 9);
      }),
    );
  });

  it.each(texts)("predicts held-out lines far better than token frequencies: %s", (_, text) => {
    const lines = linesOf(text);
    const learned = asText(lines.filter((_, i) => i % 5 !== 4));
    const heldOut = asText(lines.filter((_, i) => i % 5 === 4));
    /** Returns the perplexity of a model: 2 to the power of its cross-entropy in bits. */
    const perplexity = (order: number) => {
      const model = new NgramModel(learned, order);
      const bits = heldOut.slice(1).map((token, i) => {
        return -Math.log2(model.distribution(heldOut.slice(0, i + 1))[model.idOf(token)]!);
      });
      return 2 ** (bits.reduce((sum, each) => sum + each, 0) / bits.length);
    };
    expect(heldOut.length).toBeGreaterThan(700);
    expect(perplexity(8)).toBeLessThan(perplexity(1) / 2.5);
    expect(perplexity(8)).toBeLessThan(new Set(learned).size / 6);
    expect(perplexity(8)).toBeLessThan(perplexity(2));
  });

  it("is trained on about 30 kB of distinct lines without surrounding blanks", () => {
    for (const [, text] of texts) {
      const lines = linesOf(text);
      expect(new Set(lines).size).toBe(lines.length);
      expect(lines.every((line) => line !== "" && line.trim() === line)).toBe(true);
    }
    expect(new TextEncoder().encode(CHINESE + ENGLISH).length).toBeLessThan(60_000);
  });

  it("continues a line of the training text", () => {
    expect(write("学而时习之").join("")).toBe("，不亦说乎？有朋自远方来，不亦乐乎？人不知而不愠，不亦君子乎？");
    expect(write("白日依山尽").join("")).toBe("，黄河入海流。欲穷千里目，更上一层楼。");
    expect(write("Alice was beginning to get").join("")).toMatch(/^ very tired of sitting by her sister on the bank/);
  });

  it("starts the next line after a complete line, and any line after unknown text", () => {
    const lines = linesOf(CHINESE);
    const at = lines.findIndex((line) => line.startsWith("床前明月光"));
    expect(lines.some((line) => line.startsWith(write(lines[at]!, { maxTokens: 4 }).join("")))).toBe(true);
    expect(write(lines[at]!)[0]).not.toBe("\n");
    for (const prompt of ["", "zxcvb", "🙂"]) {
      expect(linesOf(ENGLISH).some((line) => line.startsWith(write(prompt, { maxTokens: 4 }).join("")))).toBe(true);
    }
  });

  it("generates text in the language of the prompt", () => {
    for (let seed = 0; seed < 20; seed++) {
      expect(write("请告诉我", { seed, temperature: 1 }).join("")).toMatch(/\p{Script=Han}/u);
      expect(write("Tell me", { seed, temperature: 1 }).join("")).not.toMatch(/\p{Script=Han}/u);
    }
  });

  it("generates the same text for the same seed, or for the same prompt without a seed", () => {
    const drawn = (seed: number | undefined) => write("什么是服务？", { seed, temperature: 1 }).join("");
    expect(drawn(1)).toBe(drawn(1));
    expect(drawn(undefined)).toBe(drawn(undefined));
    expect(new Set([1, 2, 3, 4, 5, 6, 7, 8].map(drawn)).size).toBeGreaterThan(4);
  });

  it("is greedy at temperature 0, near 0, and with only one candidate token", () => {
    const likeliest = write("The hare").join("");
    for (const sampling of [
      { temperature: 5e-324 },
      { temperature: 0.001 },
      { temperature: 2, topK: 1 },
      { temperature: 1, topP: 1e-9 },
    ]) {
      expect(write("The hare", { ...sampling, seed: 3 }).join("")).toBe(likeliest);
    }
  });

  it("samples tokens with their probabilities", () => {
    const model = new NgramModel(tokenize(ENGLISH), 8);
    const read = tokenize("What is a");
    const likely = model.distribution(read);
    const counts = new Map<string, number>();
    const draws = 2000;
    for (let seed = 0; seed < draws; seed++) {
      const token = write("What is a", { seed, temperature: 1, maxTokens: 1 })[0]!;
      counts.set(token, (counts.get(token) ?? 0) + 1);
    }
    for (const token of [" service", " queue", " tensor"]) {
      const p = likely[model.idOf(token)]!;
      // Five standard deviations; the seeds are always the same.
      expect(Math.abs(counts.get(token)! / draws - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / draws));
    }
  });

  it("ends with the passage, or at the maximum number of tokens", () => {
    const end = (sampling: Partial<Sampling>) => {
      const tokens = generate("学而时习之", { ...greedy, ...sampling });
      let count = 0;
      for (;;) {
        const next = tokens.next();
        if (next.done) return [next.value, count];
        count++;
      }
    };
    expect(end({})).toEqual(["stop", 31]);
    expect(end({ maxTokens: 30 })).toEqual(["length", 30]);
    expect(end({ maxTokens: 300, ignoresEnd: true })).toEqual(["length", 300]);
  });
});
