import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, expect, test } from "vitest";
import { CONSUMER_OPTIONS } from "./consumer-options.js";
import { generateHelpers } from "./generated-helpers.js";

// Inside the package, so that its name resolves to the built declarations.
const folder = fileURLToPath(new URL("../.tmp/generated-helpers", import.meta.url));
mkdirSync(folder, { recursive: true });
afterAll(() => rmSync(folder, { recursive: true }));

test("a helper with explicit types compiles for each signature of each public function, constructor and method", () => {
  const { text, names, unexported, untyped } = generateHelpers();
  expect([...unexported]).toEqual([]);
  expect([...untyped]).toEqual([]);
  expect(text).not.toMatch(/\bany\b/);

  const file = `${folder}/helpers.mts`;
  writeFileSync(file, text);
  const program = ts.createProgram([file], CONSUMER_OPTIONS);
  const messages = ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const line = file ? file.getLineAndCharacterOfPosition(start).line : 0;
    return `${names.get(line) ?? file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
  });
  expect(messages).toEqual([]);
  expect(names.size).toBeGreaterThan(380);
}, 120_000);
