import { spawnSync } from "node:child_process";
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

describe("the files that documents for contributors name", () => {
  test.each(["CONTRIBUTING.md", "docs/architecture.md", "test/README.md"])("%s", (document) => {
    const names = [...readFileSync(document, "utf8").matchAll(/`((?:src|test|bench|scripts|docs)\/[^`*\s]+)`/g)];
    expect(names.length).toBeGreaterThan(3);
    expect(names.map(([, name]) => name as string).filter((name) => !name.includes("/.") && !existsSync(name))).toEqual(
      [],
    );
  });

  test("docs/architecture.svg is the picture of the imports as they are", () => {
    const { status, stderr } = spawnSync(process.execPath, ["scripts/architecture.mjs", "--check"], {
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(status).toBe(0);
  });
});
