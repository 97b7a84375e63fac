import type { ConsoleState } from "../protocol.js";
import type { ConsoleConnection } from "./connection.js";
import { field, h } from "./dom.js";
import { messageOf } from "./forms/call-service.js";

const ALL = "All services and queues";

/** The switches for faults. They apply to the chosen service until they are switched off. */
export class FaultsSection {
  readonly #connection: ConsoleConnection;
  readonly #service = h("select", {});
  readonly #list = h("ul", { class: "switches" });
  readonly #status = h("p", { class: "quiet", role: "status" });
  readonly #switches = new Map<string, HTMLInputElement>();
  #state: ConsoleState | undefined;

  constructor(section: HTMLElement, connection: ConsoleConnection) {
    this.#connection = connection;
    this.#service.addEventListener("change", () => this.#showSwitches());
    section.append(field("Applies to", this.#service, "inline"), this.#list, this.#status);
  }

  /** Shows the state of the faults. */
  show(state: ConsoleState): void {
    const names = [ALL, ...state.services.map(({ name }) => name), ...state.queues.map(({ name }) => name)];
    if (names.join("\n") !== [...this.#service.options].map(({ text }) => text).join("\n")) {
      const chosen = this.#service.value;
      this.#service.replaceChildren(...names.map((name) => h("option", {}, name)));
      this.#service.value = names.includes(chosen) ? chosen : ALL;
    }
    this.#state = state;
    for (const { id, label, description } of state.faults) {
      if (this.#switches.has(id)) continue;
      const input = h("input", {
        type: "checkbox",
        role: "switch",
        id: `fault-${id}`,
        "aria-describedby": `about-${id}`,
      });
      input.addEventListener("change", () => void this.#set(id, input.checked));
      this.#switches.set(id, input);
      this.#list.append(
        h(
          "li",
          {},
          input,
          h("div", {}, h("label", { for: input.id }, label), h("p", { id: `about-${id}` }, description)),
        ),
      );
    }
    this.#showSwitches();
  }

  get #chosen(): string | null {
    return this.#service.selectedIndex <= 0 ? null : this.#service.value;
  }

  #showSwitches(): void {
    const { activeFaults = [], otherFaults = 0 } = this.#state ?? {};
    const service = this.#chosen;
    for (const [id, input] of this.#switches) {
      input.checked = activeFaults.some((active) => active.id === id && active.service === service);
    }
    const active = activeFaults.map(({ id, service }) => `${this.#label(id)} (${service ?? "all"})`);
    const texts = [
      active.length === 0 ? "No fault is switched on." : `Switched on: ${active.join(", ")}.`,
      ...(otherFaults === 0 ? [] : [`Pending faults of a program: ${otherFaults}.`]),
    ];
    const text = texts.join(" ");
    if (this.#status.textContent !== text) this.#status.textContent = text;
  }

  #label(id: string): string {
    return this.#state?.faults.find((fault) => fault.id === id)?.label ?? id;
  }

  async #set(id: string, on: boolean): Promise<void> {
    try {
      await this.#connection.send("fault", { id, service: this.#chosen, on });
    } catch (error) {
      this.#showSwitches();
      this.#status.textContent = messageOf(error);
    }
  }
}
