// The compilers, bundlers and runtimes that consumers use, as package-lock.json pins them: installed here, beside this
// package and not in it.
import { fileURLToPath } from "node:url";
import { installLocked } from "../support/locked-install.mjs";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));

/** Installs them where they are absent, or of another lock. */
export function installTools() {
  installLocked(FOLDER);
}

/** The path of what a tool's package holds. */
export function tool(path) {
  return `${FOLDER}node_modules/${path}`;
}
