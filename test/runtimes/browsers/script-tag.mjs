// Checks in Chromium that need a separate page: the package as a script tag, an empty console, and an https page that
// calls over http.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright";
import { programsOf } from "./install.mjs";
import { CHROMIUM_ARGS } from "./start.mjs";

const PAGE = `<!doctype html>
<title>A script tag</title>
<link rel="icon" href="data:,">
<script src="/eas-prediction.js"></script>`;

const CHECKS = {
  async "a script tag is enough for a prediction, and the console stays empty"(open, { endpoint, token }) {
    const { page, console } = await open("http://page.test/");
    const answer = await page.evaluate(
      async ({ endpoint, token }) => {
        const { PredictClient } = globalThis.EasPrediction;
        const client = new PredictClient({ endpoint, serviceName: "echo", token });
        const answer = await client.predict("你好");
        await client.close();
        return answer.toString();
      },
      { endpoint, token },
    );
    expectEqual(answer, "你好");
    expectEqual(console, []);
  },

  async "a call over http from a page that came over https: the error names mixed content"(open) {
    const { page } = await open("https://page.test/");
    const { message, finding } = await page.evaluate(async () => {
      const { PredictClient } = globalThis.EasPrediction;
      const client = new PredictClient({ endpoint: "http://eas.test", serviceName: "s", token: "secret-4711" });
      const error = await client.predict("x").catch((error) => error);
      return { message: error.message, finding: (await client.diagnose()).finding };
    });
    expectEqual(finding, "mixed-content");
    if (!message.includes("mixed content")) throw new Error(`the message is: ${message}`);
    if (message.includes("4711")) throw new Error("the message contains the token");
  },
};

/** Runs the checks with the package in `folder`, and reports them as the suite does. */
export async function checkScriptTag(folder, context) {
  const package_ = join(folder, "node_modules/eas-prediction");
  const { unpkg } = JSON.parse(readFileSync(join(package_, "package.json"), "utf8"));
  const script = readFileSync(join(package_, unpkg), "utf8");
  // The pages have invented host names, which the test serves within the browser. The emulator's address is local.
  const browser = await chromium.launch({
    executablePath: programsOf("chromium").chromium,
    args: [...CHROMIUM_ARGS, "--disable-features=LocalNetworkAccessChecks"],
  });
  async function open(url) {
    const page = await browser.newPage();
    const console = [];
    page.on("console", (message) => console.push(`${message.type()}: ${message.text()}`));
    await page.route(`${new URL(url).origin}/**`, (route) =>
      route.request().url().endsWith(".js")
        ? route.fulfill({ contentType: "text/javascript; charset=utf-8", body: script })
        : route.fulfill({ contentType: "text/html; charset=utf-8", body: PAGE }),
    );
    await page.goto(url);
    return { page, console };
  }
  const cases = [];
  for (const [name, check] of Object.entries(CHECKS)) {
    try {
      await check(open, context);
      cases.push({ feature: "page", name, status: "passed" });
    } catch (error) {
      cases.push({ feature: "page", name, status: "failed", reason: error.stack });
    }
  }
  await browser.close();
  return cases;
}

function expectEqual(actual, expected) {
  const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (found !== wanted) throw new Error(`${found} instead of ${wanted}`);
}
