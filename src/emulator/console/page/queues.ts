import type { ConsoleService, QueueSample } from "../protocol.js";
import { LineChart } from "./chart.js";
import { field, h } from "./dom.js";
import { callService, messageOf } from "./forms/call-service.js";

const SERIES = [
  { key: "length", label: "Waiting" },
  { key: "pending", label: "Delivered" },
  { key: "sink", label: "In the sink" },
  { key: "consumers", label: "Consumers" },
];

interface QueueView {
  readonly chart: LineChart;
  readonly consumers: HTMLElement;
  readonly element: HTMLElement;
}

/** The queues, with charts of their lengths and a form to put items. */
export class QueuesSection {
  readonly #list = h("div", { class: "cards" });
  readonly #views = new Map<string, QueueView>();

  constructor(section: HTMLElement) {
    section.append(this.#list);
  }

  /** Shows the queues. The charts of queues that still exist are kept. */
  setQueues(queues: readonly ConsoleService[]): void {
    for (const [name, { element }] of this.#views) {
      if (queues.some((queue) => queue.name === name)) continue;
      element.remove();
      this.#views.delete(name);
    }
    for (const queue of queues) {
      if (this.#views.has(queue.name)) continue;
      const view = createView(queue);
      this.#views.set(queue.name, view);
      this.#list.append(view.element);
    }
    if (queues.length === 0) this.#list.replaceChildren(h("p", { class: "empty" }, "The emulator has no queues."));
  }

  /** Adds a sample to the charts. */
  add(samples: readonly QueueSample[]): void {
    for (const { name, length, pending, sinkLength, consumers } of samples) {
      const view = this.#views.get(name);
      view?.chart.add([length, pending, sinkLength, consumers.length]);
      if (view !== undefined) {
        view.consumers.textContent = consumers.length === 0 ? "No consumers" : `Consumers: ${consumers.join(", ")}`;
      }
    }
  }
}

function createView(queue: ConsoleService): QueueView {
  const chart = new LineChart(`Queue ${queue.name}`, SERIES);
  const consumers = h("p", { class: "quiet" }, "No consumers");
  const data = h("input", { required: true });
  data.value = "hello";
  const message = h("span", { class: "quiet", role: "status" });
  const form = h(
    "form",
    { class: "row" },
    field(`Item for ${queue.name}`, data, "wide"),
    h("button", { "aria-label": `Put an item into ${queue.name}` }, "Put"),
    message,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void put();
  });
  async function put(): Promise<void> {
    try {
      const response = await callService(queue, "", { method: "POST", body: data.value });
      const text = await response.text();
      message.textContent = response.ok ? `Index ${text}` : `${response.status}: ${text}`;
    } catch (error) {
      message.textContent = messageOf(error);
    }
  }
  return { chart, consumers, element: h("article", {}, h("h3", {}, queue.name), chart.element, consumers, form) };
}
