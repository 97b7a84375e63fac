// What the console must do in each browser. Functions that are passed to `run` and `until` run in the page.
import assert from "node:assert/strict";
import { QueueClient } from "eas-prediction";
import { startEmulator } from "eas-prediction/emulator";

/** Opens a service and the form of this name in the page. */
const openForm = (service, form) => {
  const button = [...document.querySelectorAll("#services .picker button")].find((b) => b.textContent === service);
  if (button === undefined) return false;
  button.click();
  document.querySelector(`#form-${form}`).click();
  return true;
};

export const CHECKS = {
  async "the page is live, and its address has no token"({ until, run, emulator }) {
    await until(() => document.querySelector("#connection").dataset.state === "open");
    assert.equal(await run(() => location.href), `${emulator.endpoint}/`);
  },

  async "the first press of Tab reaches the link that skips the navigation"({ run, press }) {
    await press("Tab");
    assert.equal(await run(() => document.activeElement.className), "skip");
  },

  async "a form calls a service, and the request appears in the list"({ until, run }) {
    await until(openForm, "echo", "Text");
    await run(() => {
      const body = document.querySelector("#services textarea");
      body.value = "<img src=x onerror=alert(1)>";
      document.querySelector("#services form").requestSubmit();
    });
    await until(() => document.querySelector("#services pre")?.textContent === "<img src=x onerror=alert(1)>");
    await until(() =>
      [...document.querySelectorAll("#requests tbody tr")].find((row) =>
        /POST.*predict\/echo.*200/.test(row.textContent),
      ),
    );
    assert.equal(await run(() => document.querySelectorAll("img").length), 0);
  },

  async "a request opens to show its headers with a masked token, and its body as text"({ until, run, emulator }) {
    await run(() => document.querySelector("#requests tbody button").click());
    const details = await until(() => {
      const text = document.querySelector("#requests tr.details:not([hidden])")?.textContent ?? "";
      return text.includes("onerror") && text;
    });
    assert.match(details, /authorization: •+/);
    assert.ok(!details.includes(emulator.token));
    assert.equal(await run(() => document.querySelectorAll("img").length), 0);
    await run(() => document.querySelector("#requests tbody button").click());
  },

  async "JSON that is not valid is reported without a request"({ until, run, emulator }) {
    const before = emulator.requests.length;
    await until(openForm, "scorecard", "JSON");
    await run(() => {
      document.querySelector("#services textarea").value = "[";
      document.querySelector("#services form").requestSubmit();
    });
    await until(() => document.querySelector("#services .problem")?.textContent.startsWith("The body is not JSON"));
    assert.equal(emulator.requests.length, before);
  },

  async "a digit drawn with the keyboard is classified"({ until, run, press }) {
    await until(openForm, "digits", "Digit");
    await run(() => document.querySelector("canvas").focus());
    for (let i = 0; i < 7; i++) await press("ArrowUp");
    await press(" ");
    for (let i = 0; i < 14; i++) await press("ArrowDown");
    await press(" ");
    await until(() => document.querySelector(".bars .best span")?.textContent === "1");
  },

  async "a chat is streamed"({ until, run }) {
    await until(openForm, "llm", "Chat");
    await run(() => {
      document.querySelector("#services textarea").value = "What is a queue?";
      document.querySelector("#services form").requestSubmit();
    });
    await until(() => {
      const log = document.querySelector(".chat");
      return log.getAttribute("aria-busy") === "false" && log.querySelector(".assistant span").textContent.length > 10;
    });
    assert.equal(await run(() => document.querySelector(".chat .problem")), null);
  },

  async "a queue shows its length and its consumers"({ until, run, emulator }) {
    await run(() => document.querySelector("#queues form").requestSubmit());
    await until(() => /Waiting 1,/.test(document.querySelector("#queues svg").getAttribute("aria-label")));
    assert.equal(emulator.queue("jobs").input.length, 1);
    const { endpoint, token } = emulator;
    const queue = new QueueClient({ endpoint, queueName: "jobs", token, uid: "u", gid: "g" });
    const watcher = await queue.watch(0n, 1);
    await until(() => document.querySelector("#queues article > .quiet").textContent === "Consumers: g.u");
    watcher.close();
    await queue.close();
  },

  async "a fault is switched with the keyboard, and applies"({ until, run, press, emulator }) {
    await run(() => document.querySelector("#fault-unavailable").focus());
    await press(" ");
    await until(() => document.querySelector("#faults > p").textContent === "Switched on: 503 Unavailable (all).");
    const call = () =>
      fetch(`${emulator.endpoint}/api/predict/echo`, { headers: { authorization: emulator.token }, method: "POST" });
    assert.equal((await call()).status, 503);
    await press(" ");
    await until(() => document.querySelector("#faults > p").textContent === "No fault is switched on.");
    assert.equal((await call()).status, 200);
  },

  async "an instance is stopped and started, and keeps the focus"({ until, run, emulator }) {
    const click = () => document.querySelector("#instances button").click();
    await run(() => document.querySelector("#instances button").focus());
    await run(click);
    await until(() => document.querySelector("#instances button").textContent === "Start");
    assert.equal(emulator.instances[0].isRunning, false);
    await run(click);
    await until(() => document.querySelector("#instances button").textContent === "Stop");
    assert.equal(await run(() => document.activeElement === document.querySelector("#instances button")), true);
  },

  async "axe finds no violation, with every form"({ until, run, loadAxe }) {
    await loadAxe();
    for (const [service, form] of [
      ["echo", "Text"],
      ["digits", "Digit"],
      ["llm", "Chat"],
    ]) {
      await until(openForm, service, form);
      const found = await run(async () => {
        const { violations } = await globalThis.axe.run(document);
        return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
      });
      assert.deepEqual(found, []);
    }
  },

  async "a page of another origin gets nothing"({ run, emulator }) {
    const token = new URL(emulator.consoleUrl).hash.slice(1);
    // The other loopback name is another origin for the browser, although it reaches the same emulator.
    const other = emulator.endpoint.replace("127.0.0.1", "localhost");
    const results = await run(
      async (other, token) => {
        const attempt = (init) =>
          fetch(`${other}/_console/clear`, init).then(
            (response) => response.status,
            () => "refused",
          );
        return [
          await attempt({
            method: "POST",
            headers: { "x-eas-console": token, "content-type": "application/json" },
            body: "{}",
          }),
          await attempt({ method: "POST", mode: "no-cors", body: "{}" }),
        ];
      },
      other,
      token,
    );
    assert.deepEqual(results, ["refused", "refused"]);
  },

  async "the page asks for the new token when the emulator was restarted"({ until, run, emulator }) {
    await emulator.close();
    await until(() => document.querySelector("#connection").dataset.state === "lost");
    const restarted = await startEmulator({ console: true, port: emulator.port });
    try {
      await until(() => document.querySelector("#connection").dataset.state === "locked");
      assert.equal(await run(() => document.querySelector("#sections").hidden), true);
      assert.equal(await run(() => document.activeElement.id), "unlock-token");
      await run((url) => {
        document.querySelector("#unlock-token").value = url;
        document.querySelector("#unlock").requestSubmit();
      }, restarted.consoleUrl);
      await until(() => document.querySelector("#connection").dataset.state === "open");
    } finally {
      await restarted.close();
    }
  },
};
