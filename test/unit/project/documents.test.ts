import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";

const pages = readdirSync("docs").filter((name) => name.endsWith(".md"));
const documents = [
  "README.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  ...pages.map((name) => `docs/${name}`),
];
const { files } = JSON.parse(readFileSync("package.json", "utf8")) as { files: string[] };

/** Markdown without its code blocks. */
const proseOf = (document: string) => readFileSync(document, "utf8").replace(/^```[\s\S]*?^```/gm, "");

/** The anchors of a document's headings, as GitHub forms them. */
function anchorsOf(document: string): string[] {
  return [...proseOf(document).matchAll(/^#{1,6} (.+)$/gm)].map(([, title]) =>
    (title as string)
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-"),
  );
}

/** The relative links of a document, as paths from the repository with their anchors. */
function linksOf(document: string): { readonly path: string; readonly anchor: string | undefined }[] {
  return [...proseOf(document).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)].map(([, path, anchor]) => ({
    path: path === "" ? document : normalize(join(dirname(document), path as string)),
    anchor,
  }));
}

describe("links between documents", () => {
  test.each(documents)("%s links to files and headings that exist", (document) => {
    const broken = linksOf(document).filter(
      ({ path, anchor }) => !existsSync(path) || (anchor !== undefined && !anchorsOf(path).includes(anchor)),
    );
    expect(broken).toEqual([]);
  });

  test("README links only to files that are in the package", () => {
    const packed = [...files, "README.md", "LICENSE"];
    const links = linksOf("README.md").map(({ path }) => path);
    expect(links.length).toBeGreaterThan(10);
    expect(links.filter((path) => !packed.includes(path) && !packed.includes(path.split("/")[0] as string))).toEqual(
      [],
    );
  });

  test("docs/README.md lists every page", () => {
    const listed = linksOf("docs/README.md").map(({ path }) => path);
    expect(pages.filter((name) => name !== "README.md" && !listed.includes(`docs/${name}`))).toEqual([]);
  });
});

test("docs/reliability.md names tests that exist", () => {
  const text = readFileSync("docs/reliability.md", "utf8");
  const suites = [...text.matchAll(/`([\w/-]+\.test\.ts)`/g)].map(([, file]) => `test/unit/${file}`);
  const harnesses = [...text.matchAll(/`([\w-]+\.mjs)`/g)].map(([, file]) => `test/faults/${file}`);
  expect(suites.length).toBeGreaterThan(15);
  expect(harnesses.length).toBeGreaterThan(10);
  expect([...suites, ...harnesses].filter((file) => !existsSync(file))).toEqual([]);
});

describe("README", () => {
  const text = readFileSync("README.md", "utf8");

  test("is at most 10 KiB long", () => {
    expect(statSync("README.md").size).toBeLessThanOrEqual(10_240);
  });

  test("shows a program within its first 900 characters", () => {
    expect(text.slice(0, 900)).toMatch(/^```js\n[\s\S]*^```/m);
  });
});
