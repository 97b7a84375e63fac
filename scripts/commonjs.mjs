// Converts the ESM files that tsup built (.js) to CommonJS (.cjs), one by one. tsup's own output lowers the syntax:
// classes lose their names. The files have no source maps, because their lines are those of readable code.
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { build } from "esbuild";

// Neither the file for script tags nor the command line is for require().
const modules = readdirSync("dist", { recursive: true }).filter((name) => /(?<!^cli|\.global)\.js$/.test(name));
const { warnings } = await build({
  entryPoints: modules.map((name) => `dist/${name}`),
  outbase: "dist",
  outdir: "dist",
  outExtension: { ".js": ".cjs" },
  format: "cjs",
  platform: "node",
  target: "es2022",
  // `import()` becomes `require`, because Jest runs CommonJS without dynamic imports.
  supported: { "dynamic-import": false },
  plugins: [
    {
      name: "neighbours",
      setup({ onLoad }) {
        // Relative imports use the names that `require()` resolves.
        onLoad({ filter: /\.js$/ }, async ({ path }) => ({
          contents: (await readFile(path, "utf8")).replace(/((?:from|import) ?\(?"\.{1,2}\/[^"]+)\.js"/g, '$1.cjs"'),
        }));
      },
    },
  ],
});
if (warnings.length > 0) process.exitCode = 1;
