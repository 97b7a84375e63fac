// Bundles the suite as a program for each runtime.
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const SUITE = fileURLToPath(new URL("../suite/main.ts", import.meta.url));
const PROGRAMS = fileURLToPath(new URL("programs/", import.meta.url));

/** This package and the packages that the suite imports with it. */
const PACKAGES = /^(?:eas-prediction|@bufbuild\/protobuf)(?:\/|$)/;

/** Resolves the package from the folder in which it was installed, for every importer. */
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
  // Without this repository's compiler settings, which consumers do not have.
  tsconfigRaw: {},
  logLevel: "warning",
};

/**
 * Bundle for runtimes that resolve packages themselves. The package is external, so that the runtime's own
 * conditions apply.
 */
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

/** Bundle with the package. The first condition is the runtime's own. */
async function bundleWhole(folder, name, entry, format, conditions) {
  const outfile = join(folder, `suite-${name}.js`);
  await build({
    ...COMMON,
    entryPoints: [entry],
    format,
    outfile,
    conditions,
    // Other platforms of esbuild add their own conditions.
    platform: conditions.includes("browser") ? "browser" : "neutral",
    mainFields: ["module", "main"],
    plugins: [installedIn(folder)],
    // Only Node's own tests import it.
    external: ["eas-prediction/node"],
  });
  return outfile;
}

/** Bundles as wrangler does. */
export function bundleForWorkerd(folder) {
  return bundleWhole(folder, "workerd", `${PROGRAMS}worker.mjs`, "esm", ["workerd", "worker", "browser"]);
}

export function bundleForEdgeVm(folder) {
  return bundleWhole(folder, "edge-vm", SUITE, "iife", ["edge-light"]);
}

export function bundleForBrowsers(folder) {
  return bundleWhole(folder, "browser", SUITE, "iife", ["browser"]);
}
