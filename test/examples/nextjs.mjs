// Tests the route of Next.js on the edge runtime with `next build`, `next start`, and calls of the route.
import { equal, match } from "node:assert/strict";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { run, startServer } from "../runtimes/processes.mjs";
import { checkRoute } from "./route.mjs";

const EXAMPLE = fileURLToPath(new URL("../../examples/nextjs-edge", import.meta.url));

export const nextjs = {
  name: "nextjs-edge",
  files: [],
  async run({ folder, emulator, programs }) {
    const app = `${folder}/nextjs-edge`;
    cpSync(EXAMPLE, app, { recursive: true, filter: (path) => !/node_modules|\.next/.test(path) });
    const manifest = JSON.parse(readFileSync(`${app}/package.json`, "utf8"));
    manifest.dependencies["eas-prediction"] = `file:../${readdirSync(folder).find((name) => name.endsWith(".tgz"))}`;
    writeFileSync(`${app}/package.json`, JSON.stringify(manifest));
    await run("npm", ["install", "--no-audit", "--no-fund", "--no-package-lock"], { cwd: app });
    const env = {
      EAS_ENDPOINT: emulator.endpoint,
      EAS_SERVICE_NAME: "digits",
      EAS_TOKEN: emulator.token,
      NEXT_TELEMETRY_DISABLED: "1",
    };
    const next = `${app}/node_modules/next/dist/bin/next`;
    match(await run(programs.node, [next, "build"], { cwd: app, env }), /\/api\/predict/);
    const built = JSON.parse(readFileSync(`${app}/.next/server/middleware-manifest.json`, "utf8"));
    equal(Object.keys(built.functions).join(), "/api/predict/route", "the route must be one of the edge runtime");
    const server = await startServer(
      programs.node,
      [next, "start", "--hostname", "127.0.0.1", "--port", "0"],
      /http:\/\/127\.0\.0\.1:(\d+)/,
      { cwd: app, env },
    );
    try {
      return await checkRoute(`http://127.0.0.1:${server.match[1]}/api/predict`, emulator);
    } catch (error) {
      error.message += `\nNext.js said: ${server.said()}`;
      throw error;
    } finally {
      await server.stop();
    }
  },
};
