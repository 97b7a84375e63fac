// Tests the web page in Chromium: draws digits with the mouse, sends jobs through the queue, and checks that the
// console stays empty. With the variable EXAMPLE_SCREENSHOT, updates the screenshot of the page.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { imageOf } from "../../examples/browser/digit-image.mjs";
import { installBrowsers, programsOf } from "../runtimes/browsers/install.mjs";
import { startServer } from "../runtimes/processes.mjs";
import { DRAWINGS, drawnByManyHands } from "./strokes.mjs";

const START = fileURLToPath(new URL("../../examples/browser/start.mjs", import.meta.url));
const SCREENSHOT = fileURLToPath(new URL("../../examples/browser/screenshot.png", import.meta.url));
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
];
/** The style in which each digit is drawn. */
const MANNERS = [0, 1, 0, 1, 2, 0, 2, 1, 2, 0];
const JOBS = 12;

export const browserPage = {
  name: "browser",
  files: [],
  async run({ emulator, programs }) {
    const hands = await checkHands(emulator);
    installBrowsers(["chromium"]);
    // Imported after the package is built.
    const { QueueClient } = await import("../../dist/index.js");
    const { chromium } = await import("../runtimes/node_modules/playwright/index.mjs");
    const server = await startServer(
      programs.node,
      [START, "--port", "0"],
      /http:\/\/127\.0\.0\.1:\d+\/\n[\s\S]*Ctrl-C/,
    );
    const browser = await chromium.launch({ executablePath: programsOf("chromium").chromium, args: ARGUMENTS });
    try {
      const [, endpoint, token] = /EAS_ENDPOINT=(\S+) EAS_TOKEN=(\S+)/.exec(server.said());
      const queue = new QueueClient({ endpoint, token, queueName: "jobs" });
      const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
      const said = [];
      page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
      page.on("pageerror", (error) => said.push(`error: ${error.message}`));
      await page.goto(server.match[0].split("\n", 1)[0]);
      const read = await checkDigits(page);
      await checkQueue(page, queue);
      await checkPhone(page);
      if (process.env.EXAMPLE_SCREENSHOT) await takeScreenshot(page);
      deepEqual(said, [], "the console must stay empty");
      await checkFailure(page, server);
      return `${hands}; ${read} drawn with the mouse and read; ${JOBS} jobs done over HTTP streaming; console empty`;
    } finally {
      await browser.close();
      equal(await server.stop("SIGINT"), 0, "Ctrl-C must end it in good order");
    }
  },
};

/** Minimum share of drawings that must be recognized, slightly below the measured share. */
const MIN_SHARE = 0.87;

/** Checks the page's preprocessing with more drawings than a browser could draw in time. */
async function checkHands(emulator) {
  const { PredictClient, TFRequest } = await import("../../dist/index.js");
  const client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "digits", token: emulator.token });
  const drawings = [...drawnByManyHands(10)];
  const pixels = drawings.flatMap(({ strokes }) => imageOf(strokes));
  const request = new TFRequest("predict_images");
  request.addFeed("images", [drawings.length, 64], TFRequest.DT_FLOAT, pixels).addFetch("labels");
  const labels = (await client.predict(request)).getNumbers("labels");
  await client.close();
  const right = drawings.filter(({ digit }, i) => labels[i] === digit).length;
  ok(right / drawings.length >= MIN_SHARE, `${right} of ${drawings.length} drawings recognized`);
  equal(imageOf([]), undefined);
  // A dot is centered, wherever it was drawn.
  deepEqual(imageOf([[{ x: 0.9, y: 0.1 }]]), imageOf([[{ x: 0.2, y: 0.3 }]]));
  return `${right} of ${drawings.length} synthetic drawings read`;
}

/** Draws each digit with the mouse, some by touch, and reads the result of the page. */
async function checkDigits(page) {
  await page.locator("#gateway", { hasText: /^127\.0\.0\.1:\d+$/ }).waitFor();
  for (const [digit, manner] of MANNERS.entries()) {
    await drawWithMouse(page, DRAWINGS[digit][manner]);
    equal(await answerOf(page), String(digit));
    const bars = await page.locator("#bars .bar-text").allTextContents();
    const percents = bars.map((text) => Number.parseInt(text, 10));
    equal(percents.length, 10);
    equal(percents.indexOf(Math.max(...percents)), digit);
    ok(Math.abs(percents.reduce((sum, each) => sum + each) - 100) <= 5, `bars of ${percents} %`);
    match(await page.locator("#latency").textContent(), /^Answered in \d+\.\d ms$/);
  }
  await page.getByRole("button", { name: "Clear" }).click();
  await page.locator("#answer[aria-busy=false]", { hasText: "No digit yet" }).waitFor();
  deepEqual([...new Set(await page.locator("#bars .bar-text").allTextContents())], ["0 %"]);
  return `${MANNERS.length} digits`;
}

async function drawWithMouse(page, strokes) {
  await page.getByRole("button", { name: "Clear" }).click();
  await page.locator("#answer", { hasText: "No digit yet" }).waitFor();
  const at = await placeOnPad(page);
  for (const [first, ...rest] of strokes) {
    await page.mouse.move(...at(first));
    await page.mouse.down();
    for (const point of rest) await page.mouse.move(...at(point));
    await page.mouse.up();
  }
}

async function placeOnPad(page) {
  const pad = page.locator("#pad");
  await pad.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await pad.boundingBox();
  return (point) => [x + point.x * width, y + point.y * height];
}

/** Waits until the page shows the result of the whole drawing. */
async function answerOf(page) {
  await page.locator("#answer[aria-busy=false]").waitFor();
  return page.locator("#digit").textContent();
}

/** Jobs wait, are received one by one, canceled halfway, discarded, and completed. */
async function checkQueue(page, queue) {
  const text = (id) => page.locator(`#${id}`).textContent();
  const state = (name) => page.locator(`#watch-state[data-state=${name}]`).waitFor();
  const button = (name) => page.getByRole("button", { name });

  await state("open");
  equal(await text("watch-state"), "watching over HTTP");
  await button("Pause").click();
  await state("closed");
  await page.getByRole("spinbutton", { name: "Jobs" }).fill(String(JOBS));
  await button("Put jobs").click();
  // According to the queue, the newest job is last.
  await page.locator("#length", { hasText: exactly(JOBS) }).waitFor();
  await page.locator("#position", { hasText: exactly(JOBS - 1) }).waitFor();
  equal(await page.locator(".job[data-state=waiting]").count(), JOBS);

  // Sufficient for a slow machine.
  await page.getByLabel("Time for each").fill("1000");
  await button("Resume").click();
  await page.locator(".job[data-state=done]").first().waitFor();
  await button("Pause").click();
  await state("closed");
  const done = await page.locator(".job[data-state=done]").count();
  ok(done >= 1 && done < JOBS, `${done} of ${JOBS} done when it was canceled`);
  equal(await page.locator("#progress").evaluate(({ value, max }) => `${value}/${max}`), `${done}/${JOBS}`);
  equal(Number((await queue.attributes())["stream.length"]), JOBS - done);
  await page.getByLabel("Time for each").fill("50");

  await button("Resume").click();
  await page.locator("#progress-text", { hasText: `${JOBS} of ${JOBS} jobs done` }).waitFor();
  equal(await page.locator("#progress").evaluate(({ value, max }) => value / max), 1);
  equal(await page.locator(".job[data-state=done]").count(), JOBS);
  await page.locator("#length", { hasText: exactly(0) }).waitFor();
  equal((await queue.attributes())["stream.length"], "0");
  const right = Number((await text("right")).split("/")[0]);
  // The model classifies 96 % correctly.
  ok(right >= JOBS - 4 && right <= JOBS, `${right} of ${JOBS} recognized`);

  await button("Pause").click();
  await state("closed");
  await button("Put jobs").click();
  await page.locator("#length", { hasText: exactly(JOBS) }).waitFor();
  await button("Discard waiting jobs").click();
  await page.locator("#length", { hasText: exactly(0) }).waitFor();
  equal(await page.locator(".job").count(), 0);
  await button("Resume").click();
  await state("open");
}

const exactly = (number) => new RegExp(`^${number}$`);

/** On a phone's screen, no element is wider than the screen, and drawing by touch works. */
async function checkPhone(page) {
  const before = page.viewportSize();
  await page.setViewportSize({ width: 360, height: 740 });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  ok(width <= 360, `the page is ${width} px wide on a screen of 360 px`);
  await page.getByRole("button", { name: "Clear" }).click();
  const at = await placeOnPad(page);
  const session = await page.context().newCDPSession(page);
  const touch = (type, points) =>
    session.send("Input.dispatchTouchEvent", {
      type,
      touchPoints: points.map((point) => ({ x: at(point)[0], y: at(point)[1] })),
    });
  for (const [first, ...rest] of DRAWINGS[3][0]) {
    await touch("touchStart", [first]);
    for (const point of rest) await touch("touchMove", [point]);
    await touch("touchEnd", []);
  }
  equal(await answerOf(page), "3");
  await page.setViewportSize(before);
}

/** Without a gateway, the page explains the error. */
async function checkFailure(page, server) {
  await server.stop("SIGINT");
  await page.locator("#watch-state[data-state=reconnecting]").waitFor();
  await drawWithMouse(page, DRAWINGS[7][0]);
  const said = page.locator("#digit-error");
  await said.waitFor();
  match(await said.textContent(), /ERR_EAS_NETWORK/);
  equal(await answerOf(page), "–");
  await page.getByRole("button", { name: "Put jobs" }).click();
  await page.locator("#queue-error", { hasText: "ERR_EAS_NETWORK" }).waitFor({ timeout: 60_000 });
}

/** Takes the screenshot with a drawn digit and a half-empty queue. */
async function takeScreenshot(page) {
  await drawWithMouse(page, DRAWINGS[2][0]);
  await answerOf(page);
  await page.getByRole("spinbutton", { name: "Jobs" }).fill("12");
  await page.getByRole("button", { name: "Put jobs" }).click();
  await page.getByLabel("Time for each").fill("300");
  await page.locator(".job[data-state=done]").nth(6).waitFor();
  await page.screenshot({ path: SCREENSHOT, fullPage: true, animations: "disabled" });
}
