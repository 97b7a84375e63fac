// The first panel: classifies a drawing while it is drawn.
import { PredictClient, TFRequest } from "eas-prediction";
import { imageOf } from "./digit-image.mjs";
import { drawingPad } from "./drawing-pad.mjs";
import { showFailure } from "./failure.mjs";
import { showImage } from "./image-view.mjs";

const element = (id) => document.getElementById(id);
const percent = (part) => `${Math.round(part * 100)} %`;

export function startDigitPanel({ endpoint, token, digitsService }) {
  // Everyone who opens a page can read its token, which is acceptable for a local gateway. Keep other tokens on a relay, such
  // as ../cloudflare-relay.ts.
  const client = new PredictClient({ endpoint, serviceName: digitsService, token, retryCount: 1 });
  const bars = Array.from({ length: 10 }, (_, digit) => addBar(digit));
  let latest = new AbortController();

  /** Whether the page shows the result of the latest drawing. */
  async function classify(strokes) {
    // The response to the previous drawing is out of date.
    latest.abort();
    latest = new AbortController();
    const { signal } = latest;
    const image = imageOf(strokes);
    showImage(element("seen"), image ?? []);
    element("pad-hint").hidden = image !== undefined;
    if (image === undefined) {
      showNothing();
      return true;
    }
    try {
      const request = new TFRequest("predict_images");
      request.addFeed("images", [1, 64], TFRequest.DT_FLOAT, image).addFetch("scores");
      const { response, elapsed } = await client.predictDetailed(request, { signal });
      show(response.getValues("scores", "DT_FLOAT"), elapsed);
    } catch (error) {
      if (signal.aborted) return false;
      showNothing();
      showFailure(element("digit-error"), error);
    }
    return true;
  }

  function show(scores, elapsed) {
    const best = scores.indexOf(Math.max(...scores));
    showDigit(best);
    element("certainty").textContent = `with a probability of ${(scores[best] * 100).toFixed(1)} %`;
    element("latency").textContent = `Answered in ${elapsed.toFixed(1)} ms`;
    bars.forEach((bar, digit) => {
      bar.show(scores[digit], digit === best);
    });
    showFailure(element("digit-error"), undefined);
  }

  function showDigit(digit) {
    element("digit").textContent = digit ?? "–";
    element("digit").classList.toggle("none", digit === undefined);
  }

  function showNothing() {
    showDigit(undefined);
    element("certainty").textContent = "No digit yet";
    element("latency").textContent = "\u00a0";
    for (const bar of bars) bar.show(0, false);
    showFailure(element("digit-error"), undefined);
  }

  // Screen readers announce a finished stroke, not each of its points.
  const setBusy = (isBusy) => element("answer").setAttribute("aria-busy", isBusy);
  const pad = drawingPad(element("pad"), {
    onBegin: () => setBusy(true),
    onChange: async (strokes, isDrawing) => {
      const isLatest = await classify(strokes);
      if (isLatest && !isDrawing) setBusy(false);
    },
  });
  element("clear").addEventListener("click", () => pad.clear());
}

function addBar(digit) {
  const row = document.createElement("li");
  const [name, track, fill, text] = ["span", "span", "span", "span"].map((tag) => document.createElement(tag));
  row.className = "bar";
  name.className = "bar-name";
  name.textContent = digit;
  track.className = "bar-track";
  fill.className = "bar-fill";
  track.append(fill);
  text.className = "bar-text";
  text.textContent = percent(0);
  row.append(name, track, text);
  element("bars").append(row);
  return {
    show(part, isBest) {
      fill.style.width = `${part * 100}%`;
      text.textContent = percent(part);
      row.classList.toggle("best", isBest);
    },
  };
}
