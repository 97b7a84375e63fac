// The Cloudflare Worker: bundled by wrangler, run by workerd.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { run, startServer } from "./processes.mjs";
import { checkRoute } from "./route.mjs";

const WRANGLER = fileURLToPath(import.meta.resolve("../runtimes/node_modules/wrangler/bin/wrangler.js"));
/** As the example's comment has it. */
const COMPATIBILITY_DATE = "2026-11-01";

export const worker = {
  name: "cloudflare-worker.ts",
  files: ["cloudflare-worker.ts"],
  async run({ folder, emulator, programs }) {
    const settings = ["--name", "digits", "--compatibility-date", COMPATIBILITY_DATE];
    // wrangler wants a newer Node than the oldest that the package is for.
    await run(
      programs.node24,
      [WRANGLER, "deploy", "cloudflare-worker.ts", ...settings, "--dry-run", "--outdir", "worker"],
      { cwd: folder, env: { CI: "1", HOME: folder, WRANGLER_SEND_METRICS: "false" } },
    );
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
