import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";
import { CONSUMER_OPTIONS } from "./consumer-options.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const HELPERS = `${root}test/package/helpers.ts`;
/** Classes that must have a helper for every public method. */
const CLASSES = ["PredictClient", "QueueClient", "AsyncInferenceClient", "PredictStream", "InferenceJob", "DataFrame"];
/** Methods of JavaScript, which do not need a type of this package. */
const OF_THE_LANGUAGE = ["toString"];

test("helpers around each public function compile against the built declarations", () => {
  const program = ts.createProgram([HELPERS], { ...CONSUMER_OPTIONS, noUnusedLocals: true });
  const sources = program.getSourceFiles().map(({ fileName }) => fileName);
  expect(sources.some((file) => file.endsWith("/dist/types/index.d.ts"))).toBe(true);
  const messages = ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
    return `${line}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
  });
  expect(messages).toEqual([]);

  const text = readFileSync(HELPERS, "utf8");
  expect(text).not.toMatch(/\bany\b/);
  const checker = program.getTypeChecker();
  const index = program.getSourceFile(`${root}dist/types/index.d.ts`) as ts.SourceFile;
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(index) as ts.Symbol);
  const missing = exported.flatMap((symbol) => {
    if (!CLASSES.includes(symbol.name)) return [];
    const type = checker.getDeclaredTypeOfSymbol(checker.getAliasedSymbol(symbol));
    return checker
      .getPropertiesOfType(type)
      .filter((member) => member.flags & ts.SymbolFlags.Method && !member.name.startsWith("__"))
      .filter(
        ({ valueDeclaration }) =>
          !(
            ts.getCombinedModifierFlags(valueDeclaration as ts.Declaration) &
            ts.ModifierFlags.NonPublicAccessibilityModifier
          ),
      )
      .map(({ name }) => name)
      .filter((name) => !OF_THE_LANGUAGE.includes(name) && !text.includes(`.${name}(`) && !text.includes(`.${name}<`))
      .map((name) => `${symbol.name}.${name}`);
  });
  expect(missing).toEqual([]);
}, 60_000);
