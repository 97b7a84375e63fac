// Bundles the console of the emulator: `console.html` with its script and its style becomes a module with one text. Used as a
// plugin by the build and by the tests.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const PAGE = fileURLToPath(new URL("../src/emulator/console/page/", import.meta.url));
const FILTER = /[\\/]console[\\/]page[\\/]console\.html$/;

/** Returns the page, and the hashes of its script and its style for the content security policy. */
export async function bundleConsolePage() {
  const [html, script, style] = await Promise.all([
    readFile(`${PAGE}console.html`, "utf8"),
    bundle("main.ts"),
    bundle("console.css"),
  ]);
  if (/<\/script/i.test(script) || /<\/style/i.test(style)) throw new Error("the script or the style ends its element");
  return {
    html: html
      .replace(/\n\s*/g, "\n")
      .replace("<!-- style -->", () => `<style>${style}</style>`)
      .replace("<!-- script -->", () => `<script>${script}</script>`),
    script: hashOf(script),
    style: hashOf(style),
  };
}

/** A plugin for esbuild and tsup. */
export const consolePage = {
  name: "console-page",
  setup({ onLoad }) {
    onLoad({ filter: FILTER }, async () => ({ contents: await moduleText(), loader: "js" }));
  },
};

/** A plugin for Vite and Vitest. */
export const viteConsolePage = {
  name: "console-page",
  enforce: "pre",
  load: (id) => (FILTER.test(id) ? moduleText() : undefined),
};

async function moduleText() {
  return `export default ${JSON.stringify(await bundleConsolePage())};`;
}

async function bundle(name) {
  const { outputFiles } = await build({
    entryPoints: [`${PAGE}${name}`],
    bundle: true,
    write: false,
    minify: true,
    format: "iife",
    platform: "browser",
    target: ["chrome111", "firefox115", "safari16.4"],
    charset: "utf8",
    legalComments: "none",
    logLevel: "error",
  });
  return outputFiles[0].text.trim();
}

function hashOf(text) {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
