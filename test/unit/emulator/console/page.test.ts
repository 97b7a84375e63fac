import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { bundleConsolePage } from "../../../../scripts/console-page.mjs";

describe("the bundled page of the console", async () => {
  const page = await bundleConsolePage();

  test("is smaller than 60 kB, and 25 kB compressed", () => {
    expect(page.html.length).toBeLessThan(60_000);
    expect(gzipSync(page.html).length).toBeLessThan(25_000);
  });

  test("loads nothing from elsewhere", () => {
    expect(page.html.match(/\bsrc=|url\(|@import|\bimport\(/g)).toBeNull();
    const urls = new Set(page.html.match(/https?:\/\/[^\s"'`)]+/g));
    // Names of XML namespaces are not loaded.
    expect([...urls].filter((url) => !url.startsWith("http://www.w3.org/"))).toEqual([]);
  });

  test("never turns text into markup", () => {
    expect(page.html.match(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/g)).toBeNull();
  });

  test("has the hashes of its script and its style", () => {
    const hash = (tag: string) => {
      const [, text = ""] = new RegExp(`<${tag}>([^]*?)</${tag}>`).exec(page.html) ?? [];
      return `sha256-${createHash("sha256").update(text).digest("base64")}`;
    };
    expect([hash("script"), hash("style")]).toEqual([page.script, page.style]);
  });
});
