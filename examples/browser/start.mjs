// `npm run example:browser`: starts a local EAS gateway, and a page that calls it. Options: --port and --gateway-port set
// the ports. Default: free ports.
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const TYPES = {
  html: "text/html",
  css: "text/css",
  svg: "image/svg+xml",
  js: "text/javascript",
  json: "application/json",
};

const { port, "gateway-port": gatewayPort } = options();
if (!existsSync(`${HERE}../../dist/index.js`)) fail("the package is not built yet: `npm run build` does that");
const { heldOutDigits, startEmulator } = await import("eas-prediction/emulator");

const emulator = await startEmulator({
  port: gatewayPort,
  // The origin of the page is not that of the gateway, so the page sees only the response headers that the gateway exposes.
  cors: { exposeHeaders: ["X-Eas-Queueservice-Request-Id"] },
  queues: { jobs: {} },
}).catch((error) => fail(`the gateway cannot start: ${error.message}`));

const settings = { endpoint: emulator.endpoint, token: emulator.token, digitsService: "digits", queueName: "jobs" };
const files = {
  "/": ["html", readFileSync(`${HERE}index.html`)],
  "/style.css": ["css", readFileSync(`${HERE}style.css`)],
  "/icon.svg": ["svg", readFileSync(`${HERE}icon.svg`)],
  "/page.js": ["js", await bundle()],
  "/settings.json": ["json", JSON.stringify(settings)],
  "/digits.json": ["json", JSON.stringify(heldOutDigits)],
};

const server = createServer(({ method, url }, answer) => {
  const file = files[new URL(url, "http://page").pathname];
  if (file === undefined || !["GET", "HEAD"].includes(method)) return answer.writeHead(file ? 405 : 404).end();
  const [type, content] = file;
  answer.writeHead(200, {
    "content-type": `${TYPES[type]}; charset=utf-8`,
    "content-security-policy": `default-src 'self'; connect-src 'self' ${emulator.endpoint}`,
    "cache-control": "no-store",
  });
  answer.end(content);
});
server.once("error", (error) => fail(`the page cannot be served: ${error.message}`));
server.listen(port, "127.0.0.1", () => {
  console.log(`Page:     http://127.0.0.1:${server.address().port}/`);
  console.log(`Gateway:  EAS_ENDPOINT=${emulator.endpoint} EAS_TOKEN=${emulator.token}`);
  console.log("          with the services digits, scorecard, ranker, llm and echo, and the queue jobs");
  console.log("Ctrl-C ends both.");
});
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, stop);

/** Closes everything that is open, so that the process exits. */
function stop() {
  server.close();
  server.closeAllConnections();
  void emulator.close();
}

function options() {
  const asPort = { type: "string", default: "0" };
  try {
    const { values } = parseArgs({ options: { port: asPort, "gateway-port": asPort } });
    return Object.fromEntries(
      Object.entries(values).map(([name, text]) => {
        if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535)
          throw new Error(`--${name} is ${text}: it must be a port`);
        return [name, Number(text)];
      }),
    );
  } catch (error) {
    return fail(error.message);
  }
}

/** Bundles the script of the page and the package into one file, as a bundler does for browsers. */
async function bundle() {
  const { outputFiles } = await build({
    entryPoints: [`${HERE}page.mjs`],
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    sourcemap: "inline",
    write: false,
    // A warning about the package's own chunks, which esbuild reports only outside of node_modules.
    logOverride: { "ignored-bare-import": "silent" },
    // The settings for compiling the package itself must not apply here.
    tsconfigRaw: {},
  });
  return outputFiles[0].contents;
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
