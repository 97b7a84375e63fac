// `npm run test:browsers`: runs the portable suite in Chromium, Firefox and WebKit. Arguments select browsers: `npm
// run test:browsers -- firefox`.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { BROWSER_NAMES, installBrowsers } from "./browsers/install.mjs";
import { bundleForBrowsers } from "./bundle.mjs";
import { installRuntimes } from "./install.mjs";
import { installPackage } from "./installed-package.mjs";
import { runAll } from "./run.mjs";

installRuntimes();
installBrowsers(BROWSER_NAMES);
// Imported after the installation.
const { OPEN } = await import("./browsers/start.mjs");
const { checkScriptTag } = await import("./browsers/script-tag.mjs");
const folder = installPackage();
const script = readFileSync(await bundleForBrowsers(folder), "utf8");

await runAll(Object.fromEntries(BROWSER_NAMES.map((name) => [name, (context) => inBrowser(name, context)])));

/** Runs the suite in a page whose origin differs from the servers that it calls. */
async function inBrowser(name, context) {
  let fail;
  const failed = new Promise((_resolve, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  const server = createServer((request, response) => {
    if (request.url === "/suite.js") {
      response.writeHead(200, { "content-type": "text/javascript; charset=utf-8" }).end(script);
    } else if (request.url === "/failed") {
      request.setEncoding("utf8").on("data", (text) => fail(new Error(`the page failed: ${text}`)));
      response.end();
    } else {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(pageWith(context));
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = await OPEN[name](`http://127.0.0.1:${server.address().port}/`);
  return {
    ended: failed,
    endsByItself: false,
    // One browser suffices for checks that do not differ between browsers.
    checks: () => (name === "chromium" ? checkScriptTag(folder, JSON.parse(context)) : []),
    async stop() {
      await close();
      server.close();
      server.closeAllConnections();
    },
  };
}

function pageWith(context) {
  return `<!doctype html>
<title>The portable suite</title>
<link rel="icon" href="data:,">
<script>onerror = (message) => navigator.sendBeacon("/failed", message)</script>
<script src="/suite.js"></script>
<script>
runEasPredictionSuite(${context}).then(
  () => { document.title = "done"; },
  (error) => navigator.sendBeacon("/failed", String(error && error.stack)),
);
</script>
`;
}
