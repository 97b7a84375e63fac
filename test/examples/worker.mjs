// The Cloudflare Worker: bundled with the settings of wrangler, run by workerd.
import { writeFileSync } from "node:fs";
import { build } from "esbuild";
import { startServer } from "../runtimes/processes.mjs";
import { checkRoute } from "./route.mjs";

/** As the example's comment has it. */
const COMPATIBILITY_DATE = "2026-11-01";

export const worker = {
  name: "cloudflare-worker.ts",
  files: ["cloudflare-worker.ts"],
  async run({ folder, emulator, programs }) {
    await build({
      absWorkingDir: folder,
      entryPoints: ["cloudflare-worker.ts"],
      outfile: `${folder}/worker/cloudflare-worker.js`,
      bundle: true,
      format: "esm",
      target: "es2024",
      conditions: ["workerd", "worker", "browser"],
      tsconfigRaw: {},
    });
    writeFileSync(`${folder}/worker/config.capnp`, configuration(emulator, "digits"));
    const server = await startServer(
      programs.workerd,
      ["serve", `${folder}/worker/config.capnp`, "--control-fd=1"],
      /"socket":"http","port":(\d+)/,
    );
    try {
      return await checkRoute(`http://127.0.0.1:${server.match[1]}/`, emulator);
    } catch (error) {
      error.message += `\nworkerd said: ${server.said()}`;
      throw error;
    } finally {
      await server.stop();
    }
  },
};

function configuration(emulator, service) {
  const bindings = { EAS_ENDPOINT: emulator.endpoint, EAS_SERVICE_NAME: service, EAS_TOKEN: emulator.token };
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
  modules = [(name = "worker", esModule = embed "cloudflare-worker.js")],
  compatibilityDate = "${COMPATIBILITY_DATE}",
  bindings = [
${Object.entries(bindings)
  .map(([name, text]) => `    (name = ${JSON.stringify(name)}, text = ${JSON.stringify(text)}),`)
  .join("\n")}
  ],
);
`;
}
