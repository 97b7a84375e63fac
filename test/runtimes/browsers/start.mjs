// Opens a page in a browser, and controls it.
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

/**
 * Functions that open a URL, by browser. Each resolves with the page: `evaluate(text)` runs an async function in the page and
 * returns its result, `press(key)` presses a key, and `close()` ends the browser.
 */
export const PAGES = {
  async chromium(url, { args = [], ...context } = {}) {
    const executablePath = programsOf("chromium").chromium;
    const browser = await chromium.launch({ executablePath, args: [...CHROMIUM_ARGS, ...args] });
    const page = await browser.newPage(context);
    await page.goto(url);
    return {
      page,
      evaluate: (text) => page.evaluate(`(${text})()`),
      press: (key) => page.keyboard.press(key),
      close: () => browser.close(),
    };
  },

  async firefox(url) {
    const browser = await puppeteer.launch({
      browser: "firefox",
      executablePath: programsOf("firefox").firefox,
      headless: true,
    });
    const page = await browser.newPage();
    await page.goto(url);
    return {
      evaluate: (text) => page.evaluate(`(${text})()`),
      press: (key) => page.keyboard.press(key),
      close: () => browser.close(),
    };
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
      const session = (path, body) => ask(port, `/session/${sessionId}/${path}`, body);
      await session("url", { url });
      return {
        evaluate: (text) =>
          session("execute/async", {
            script: `const done = arguments[0];
              (${text})().then((value) => done({ value }), (error) => done({ error: String(error) }));`,
            args: [],
          }).then(({ value, error }) => {
            if (error !== undefined) throw new Error(error);
            return value;
          }),
        async press(key) {
          const value = WEBDRIVER_KEYS[key] ?? key;
          const actions = ["keyDown", "keyUp"].map((type) => ({ type, value }));
          await session("actions", { actions: [{ type: "key", id: "keyboard", actions }] });
        },
        close,
      };
    } catch (error) {
      await close();
      throw error;
    }
  },
};

/** Functions that open a URL, by browser. Each resolves with a function that ends the browser. */
export const OPEN = Object.fromEntries(
  Object.entries(PAGES).map(([name, open]) => [name, async (...args) => (await open(...args)).close]),
);

/** Keys of the WebDriver protocol that are not characters. */
const WEBDRIVER_KEYS = {
  Tab: "\uE004",
  Enter: "\uE007",
  ArrowLeft: "\uE012",
  ArrowUp: "\uE013",
  ArrowRight: "\uE014",
  ArrowDown: "\uE015",
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
