// The page's entry: reads where the gateway is, and starts both panels.
import { startDigitPanel } from "./digit-panel.mjs";
import { startQueuePanel } from "./queue-panel.mjs";

const [settings, samples] = await Promise.all(
  ["settings.json", "digits.json"].map((url) => fetch(url).then((answer) => answer.json())),
);
document.querySelector("#gateway").textContent = new URL(settings.endpoint).host;
startDigitPanel(settings);
startQueuePanel(settings, samples);
