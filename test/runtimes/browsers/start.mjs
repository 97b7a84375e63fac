// Opens a page in a browser. Each function resolves with a way to close it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { chromium } from "playwright";
import puppeteer from "puppeteer-core";
import { programsOf } from "./install.mjs";

/** Options that Debian's Chromium needs as root without its own network. */
export const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Functions that open a URL, by browser. */
export const OPEN = {
  async chromium(url, { args = [], ...context } = {}) {
    const executablePath = programsOf("chromium").chromium;
    const browser = await chromium.launch({ executablePath, args: [...CHROMIUM_ARGS, ...args] });
    const page = await browser.newPage(context);
    await page.goto(url);
    return () => browser.close();
  },

  async firefox(url) {
    const browser = await puppeteer.launch({
      browser: "firefox",
      executablePath: programsOf("firefox").firefox,
      headless: true,
    });
    const page = await browser.newPage();
    await page.goto(url);
    return () => browser.close();
  },

  /** Uses WebDriver, because no library supports WebKitGTK. Its window needs a display. */
  async webkit(url) {
    const { driver, miniBrowser, xvfbRun } = programsOf("webkit");
    const port = await freePort();
    // Started in its own process group, so that the display and the browser end with it.
    const child = spawn(xvfbRun, ["-a", driver, `--port=${port}`], { stdio: "ignore", detached: true });
    const close = async () => {
      process.kill(-child.pid, "SIGKILL");
      await once(child, "exit");
    };
    try {
      const options = { binary: miniBrowser, args: ["--automation"] };
      const capabilities = { alwaysMatch: { "webkitgtk:browserOptions": options } };
      const { sessionId } = await ask(port, "/session", { capabilities });
      await ask(port, `/session/${sessionId}/url`, { url });
      return close;
    } catch (error) {
      await close();
      throw error;
    }
  },
};

/** Sends a command of the WebDriver protocol. Waits until the driver listens. */
async function ask(port, path, body) {
  for (let attempt = 0; ; attempt++) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", body: JSON.stringify(body) });
      const { value } = await response.json();
      if (!response.ok) throw new Error(`WebKitWebDriver: ${value.error} ${value.message}`);
      return value;
    } catch (error) {
      if (error.cause?.code !== "ECONNREFUSED" || attempt === 200) throw error;
      await new Promise((go) => setTimeout(go, 50));
    }
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
