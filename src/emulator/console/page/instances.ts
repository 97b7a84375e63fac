import type { ConsoleInstance } from "../protocol.js";
import type { ConsoleConnection } from "./connection.js";
import { button, h } from "./dom.js";
import { messageOf } from "./forms/call-service.js";

interface InstanceView {
  readonly element: HTMLElement;
  readonly state: HTMLElement;
  readonly toggle: HTMLButtonElement;
  isRunning: boolean;
}

/** The instances for direct connections, each with a button that stops or starts it. */
export class InstancesSection {
  readonly #connection: ConsoleConnection;
  readonly #list = h("ul", { class: "instances" });
  readonly #empty = h(
    "p",
    { class: "empty" },
    "No instances. Start the emulator with ",
    h("code", {}, "--instances 3"),
    ".",
  );
  readonly #status = h("p", { class: "quiet", role: "status" });
  readonly #views = new Map<string, InstanceView>();

  constructor(section: HTMLElement, connection: ConsoleConnection) {
    this.#connection = connection;
    section.append(this.#empty, this.#list, this.#status);
  }

  /** Shows the instances. The buttons stay in place, so that they keep the focus. */
  show(instances: readonly ConsoleInstance[]): void {
    this.#empty.hidden = instances.length > 0;
    for (const { origin, isRunning, isListed, weight } of instances) {
      const view = this.#views.get(origin) ?? this.#add(origin);
      view.isRunning = isRunning;
      view.state.textContent = [isRunning ? "running" : "stopped", isListed ? `weight ${weight}` : "not listed"].join(
        ", ",
      );
      view.state.dataset.running = String(isRunning);
      view.toggle.textContent = isRunning ? "Stop" : "Start";
      view.toggle.setAttribute("aria-label", `${isRunning ? "Stop" : "Start"} ${origin}`);
    }
  }

  #add(origin: string): InstanceView {
    const state = h("span", { class: "badge" });
    const toggle = button("", () => void this.#toggle(origin, view));
    const view = {
      element: h("li", {}, h("code", {}, origin.replace(/^http:\/\//, "")), state, toggle),
      state,
      toggle,
      isRunning: false,
    };
    this.#views.set(origin, view);
    this.#list.append(view.element);
    return view;
  }

  async #toggle(origin: string, { isRunning }: InstanceView): Promise<void> {
    try {
      await this.#connection.send("instance", { origin, running: !isRunning });
      this.#status.textContent = `${origin} is ${isRunning ? "stopped" : "running"}.`;
    } catch (error) {
      this.#status.textContent = messageOf(error);
    }
  }
}
