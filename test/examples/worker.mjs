// Tests the Cloudflare Workers: bundled with the settings of wrangler, run by workerd.
import { writeFileSync } from "node:fs";
import { build } from "esbuild";
import { startServer } from "../runtimes/processes.mjs";
import { checkRelay, PAGE_ORIGIN } from "./relay.mjs";
import { checkRoute } from "./route.mjs";

/** The settings from the example's comment. */
const COMPATIBILITY_DATE = "2026-11-01";

export const workers = [
  workerOf("cloudflare-worker", { EAS_SERVICE_NAME: "digits" }, checkRoute),
  workerOf("cloudflare-relay", { EAS_SERVICE_NAME: "llm", PAGE_ORIGIN }, checkRelay),
];

/** `check` calls the worker at a URL. */
function workerOf(name, variables, check) {
  const file = `${name}.ts`;
  return {
    name: file,
    files: [file],
    async run({ folder, emulator, programs }) {
      await build({
        absWorkingDir: folder,
        entryPoints: [file],
        outfile: `${folder}/worker/${name}.js`,
        bundle: true,
        format: "esm",
        target: "es2024",
        conditions: ["workerd", "worker", "browser"],
        tsconfigRaw: {},
      });
      const config = `${folder}/worker/${name}.capnp`;
      writeFileSync(config, configuration(name, emulator, variables));
      const server = await startServer(
        programs.workerd,
        ["serve", config, "--control-fd=1"],
        /"socket":"http","port":(\d+)/,
      );
      try {
        return await check(`http://127.0.0.1:${server.match[1]}/`, emulator);
      } catch (error) {
        error.message += `\nworkerd said: ${server.said()}`;
        throw error;
      } finally {
        await server.stop();
      }
    },
  };
}

function configuration(name, emulator, variables) {
  const bindings = { EAS_ENDPOINT: emulator.endpoint, EAS_TOKEN: emulator.token, ...variables };
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    # Loopback is among the private addresses.
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "worker")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "${name}.js")],
  compatibilityDate = "${COMPATIBILITY_DATE}",
  bindings = [
${Object.entries(bindings)
  .map(([name, text]) => `    (name = ${JSON.stringify(name)}, text = ${JSON.stringify(text)}),`)
  .join("\n")}
  ],
);
`;
}
