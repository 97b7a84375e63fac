// `npm run test:libraries`: openai and the AI SDK in their newest majors, which need Node 22. `npm test` runs the same tests with
// the majors before. Arguments are passed to vitest.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { installRuntimes } from "../runtimes/install.mjs";
import { installLocked } from "../support/locked-install.mjs";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

installLocked(FOLDER);
const { node22 } = installRuntimes();
const VITEST = ["node_modules/vitest/vitest.mjs", "run", "--config", "test/libraries/vitest.config.ts"];
const { status } = spawnSync(node22, [...VITEST, ...process.argv.slice(2)], { cwd: ROOT, stdio: "inherit" });
process.exitCode = status ?? 1;
