import { TFRequest } from "../../../../formats/tf/request.js";
import { TFResponse } from "../../../../formats/tf/response.js";
import type { ConsoleService } from "../../protocol.js";
import { button, h, milliseconds } from "../dom.js";
import { callService, messageOf } from "./call-service.js";
import { imageOf, type Point } from "./digit-image.js";
import { createDrawingPad } from "./drawing-pad.js";
import { showProblem } from "./request-form.js";

const HINT = "Draw a digit. The drawing is scaled to 8×8 pixels and sent as a TensorFlow tensor.";

/** Creates a form that sends a drawn digit to a service, in the form of the demo service `digits`. */
export function createDigitForm(service: ConsoleService): HTMLElement {
  const answer = h("div", { class: "result", role: "status" }, h("p", {}, HINT));
  const bars = Array.from({ length: 10 }, (_, digit) => createBar(digit));
  const pad = createDrawingPad((strokes) => void classify(strokes));
  let latest = new AbortController();

  async function classify(strokes: readonly (readonly Point[])[]): Promise<void> {
    // The response to the previous drawing is out of date.
    latest.abort();
    latest = new AbortController();
    const { signal } = latest;
    const image = imageOf(strokes);
    if (image === undefined) return showNothing();
    try {
      const startedAt = performance.now();
      const request = new TFRequest("predict_images").addFeed("images", [1, 64], "DT_FLOAT", image).addFetch("scores");
      const response = await callService(service, "", {
        method: "POST",
        body: request.toBinary() as Uint8Array<ArrayBuffer>,
        headers: { "content-type": "application/octet-stream" },
        signal,
      });
      if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
      const body = new Uint8Array(await response.arrayBuffer());
      show([...new TFResponse(body).getValues("scores", "DT_FLOAT")], performance.now() - startedAt);
    } catch (error) {
      if (!signal.aborted) showProblem(answer, messageOf(error));
    }
  }

  function show(scores: readonly number[], elapsed: number): void {
    const best = scores.indexOf(Math.max(...scores));
    answer.replaceChildren(
      h("p", {}, h("strong", { class: "digit" }, String(best)), ` with a probability of ${percent(scores[best] ?? 0)}`),
      h("p", { class: "quiet" }, `Response after ${milliseconds(elapsed)}`),
    );
    for (const [digit, bar] of bars.entries()) bar.show(scores[digit] ?? 0, digit === best);
  }

  function showNothing(): void {
    answer.replaceChildren(h("p", {}, HINT));
    for (const bar of bars) bar.show(0, false);
  }

  return h(
    "div",
    { class: "form digits" },
    h(
      "div",
      {},
      pad.canvas,
      h(
        "div",
        { class: "row" },
        button("Clear", () => pad.clear()),
      ),
    ),
    h(
      "div",
      { class: "verdict" },
      answer,
      h("ol", { class: "bars", "aria-label": "Probabilities" }, ...bars.map(({ row }) => row)),
    ),
  );
}

function createBar(digit: number): { row: HTMLElement; show(part: number, isBest: boolean): void } {
  const fill = h("span", { class: "fill" });
  const text = h("span", {}, percent(0));
  const row = h(
    "li",
    {},
    h("span", {}, String(digit)),
    h("span", { class: "track", "aria-hidden": "true" }, fill),
    text,
  );
  return {
    row,
    show(part, isBest) {
      fill.style.width = `${part * 100}%`;
      text.textContent = percent(part);
      row.classList.toggle("best", isBest);
    },
  };
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}
