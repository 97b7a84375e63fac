import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import questions from "../../contributing/questions.json" with { type: "json" };

// The questions that a new contributor asks. The tree and the file names alone should lead to the answers: when you move
// or rename a file, update its answer here and check that the new name still leads there.
describe("where a new contributor finds what", () => {
  test("there are 30 different questions", () => {
    expect(new Set(questions.map(({ question }) => question)).size).toBe(30);
  });

  test.each(questions)("$question", ({ answers, proof }) => {
    const [file = "", ...others] = answers;
    expect(readFileSync(file, "utf8")).toContain(proof);
    for (const other of others) expect(existsSync(other)).toBe(true);
  });
});
