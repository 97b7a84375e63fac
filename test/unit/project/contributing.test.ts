import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import questions from "../../contributing/questions.json" with { type: "json" };

// Questions of a new contributor, which the tree and the file names should answer. When you move or rename a file, update
// its answer in questions.json, and check that the new name still answers the question.
describe("questions of a new contributor", () => {
  test("there are 30 different questions", () => {
    expect(new Set(questions.map(({ question }) => question)).size).toBe(30);
  });

  test.each(questions)("$question", ({ answers, proof }) => {
    const [file = "", ...others] = answers;
    expect(readFileSync(file, "utf8")).toContain(proof);
    for (const other of others) expect(existsSync(other)).toBe(true);
  });
});

describe("documents for contributors name files that exist", () => {
  test.each(["CONTRIBUTING.md", "docs/architecture.md", "test/README.md"])("%s", (document) => {
    const names = [...readFileSync(document, "utf8").matchAll(/`((?:src|test|bench|scripts|docs)\/[^`*\s]+)`/g)];
    expect(names.length).toBeGreaterThan(3);
    expect(names.map(([, name]) => name as string).filter((name) => !name.includes("/.") && !existsSync(name))).toEqual(
      [],
    );
  });

  test("docs/architecture.svg shows the current imports", () => {
    const { status, stderr } = spawnSync(process.execPath, ["scripts/architecture.mjs", "--check"], {
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(status).toBe(0);
  });
});
