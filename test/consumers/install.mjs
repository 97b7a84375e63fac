// Installs the compilers, bundlers and runtimes that consumers use, as pinned by package-lock.json, in this folder.
import { fileURLToPath } from "node:url";
import { installLocked } from "../support/locked-install.mjs";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));

/** Installs them if they are missing or from another lock file. */
export function installTools() {
  installLocked(FOLDER);
}

/** Returns the path of a file in a tool's package. */
export function tool(path) {
  return `${FOLDER}node_modules/${path}`;
}
