import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const text = readFileSync(new URL("../../../SECURITY.md", import.meta.url), "utf8");
const scripts = Object.keys(
  JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")).scripts,
);

test("SECURITY.md names only tests that exist", () => {
  const files = [...text.matchAll(/`(test\/[^`]+)`/g)].map(([, file]) => file as string);
  expect(files.length).toBeGreaterThan(8);
  expect(files.filter((file) => !existsSync(new URL(`../../../${file}`, import.meta.url)))).toEqual([]);
  const named = [...text.matchAll(/`npm run ([a-z:]+)/g)].map(([, script]) => script as string);
  expect(named.length).toBeGreaterThan(2);
  expect(named.filter((script) => !scripts.includes(script))).toEqual([]);
});
