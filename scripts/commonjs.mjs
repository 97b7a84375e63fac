// Makes the files for `require` (.cjs) of those for `import` (.js) that tsup built, one of each. Not by tsup, which rewrites
// the code for old runtimes as it goes: classes lose their names, and source maps name the folder of the build.
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { build } from "esbuild";

const modules = readdirSync("dist", { recursive: true }).filter((name) => /(?<!\.global)\.js$/.test(name));
const { warnings } = await build({
  entryPoints: modules.map((name) => `dist/${name}`),
  outbase: "dist",
  outdir: "dist",
  outExtension: { ".js": ".cjs" },
  format: "cjs",
  platform: "node",
  target: "es2022",
  sourcemap: true,
  // `import()` becomes `require`: Jest runs CommonJS where there is no import.
  supported: { "dynamic-import": false },
  plugins: [
    {
      name: "neighbours",
      setup({ onLoad }) {
        // A file names its neighbours by the names that require() resolves.
        onLoad({ filter: /\.js$/ }, async ({ path }) => ({
          contents: (await readFile(path, "utf8")).replace(/((?:from|import) ?\(?"\.{1,2}\/[^"]+)\.js"/g, '$1.cjs"'),
        }));
      },
    },
  ],
});
if (warnings.length > 0) process.exitCode = 1;
