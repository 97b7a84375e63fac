// Creates dist/types: declarations for `import` (.d.ts) by tsc, and copies for `require` (.d.cts).
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], { stdio: "inherit" });

const root = "dist/types";
for (const name of readdirSync(root, { recursive: true })) {
  if (!name.endsWith(".d.ts")) continue;
  const text = readFileSync(join(root, name), "utf8");
  // A declaration for `require()` imports the names that `require()` resolves.
  const cjs = text.replace(/((?:from|import|module) ?\(?["']\.{1,2}\/[^"']+)\.js(["'])/g, "$1.cjs$2");
  writeFileSync(join(root, name.replace(/\.d\.ts$/, ".d.cts")), cjs.replace(/^\/\/# sourceMappingURL=.*$/m, ""));
}
