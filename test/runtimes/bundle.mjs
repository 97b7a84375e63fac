// Makes programs of the suite, each as its runtime takes it.
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const SUITE = fileURLToPath(new URL("../suite/main.ts", import.meta.url));
const PROGRAMS = fileURLToPath(new URL("programs/", import.meta.url));

/** This package, and what it is used with, as the suite imports them. */
const PACKAGES = /^(?:eas-prediction|@bufbuild\/protobuf)(?:\/|$)/;

/** Takes the package from the folder where it was installed, whoever imports it. */
function installedIn(folder) {
  return {
    name: "installed",
    setup({ onResolve, resolve }) {
      onResolve({ filter: PACKAGES }, ({ path, kind, pluginData }) =>
        pluginData === "installed" ? undefined : resolve(path, { kind, resolveDir: folder, pluginData: "installed" }),
      );
    },
  };
}

const COMMON = {
  bundle: true,
  target: "es2022",
  // Without this repository's own compiler settings, which a consumer does not have.
  tsconfigRaw: {},
  logLevel: "warning",
};

/** For runtimes that resolve packages themselves: the package is not in it, so that their own conditions count. */
export async function bundleForServers(folder) {
  await build({
    ...COMMON,
    entryPoints: [SUITE],
    format: "esm",
    outfile: join(folder, "suite.mjs"),
    external: ["eas-prediction", "@bufbuild/protobuf"],
  });
  const program = join(folder, "server.mjs");
  copyFileSync(`${PROGRAMS}server.mjs`, program);
  return program;
}

/** A whole program. The first condition is the runtime's own. */
async function bundleWhole(folder, name, entry, format, conditions) {
  const outfile = join(folder, `suite-${name}.js`);
  await build({
    ...COMMON,
    entryPoints: [entry],
    format,
    outfile,
    conditions,
    // Any other adds a condition of its own.
    platform: conditions.includes("browser") ? "browser" : "neutral",
    mainFields: ["module", "main"],
    plugins: [installedIn(folder)],
    // Node's own tests alone ask for it.
    external: ["eas-prediction/node"],
  });
  return outfile;
}

/** As wrangler does it. */
export function bundleForWorkerd(folder) {
  return bundleWhole(folder, "workerd", `${PROGRAMS}worker.mjs`, "esm", ["workerd", "worker", "browser"]);
}

export function bundleForEdgeVm(folder) {
  return bundleWhole(folder, "edge-vm", SUITE, "iife", ["edge-light"]);
}

export function bundleForBrowsers(folder) {
  return bundleWhole(folder, "browser", SUITE, "iife", ["browser"]);
}
