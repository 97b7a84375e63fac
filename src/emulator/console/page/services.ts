import type { ConsoleService } from "../protocol.js";
import { button, h } from "./dom.js";
import { createChatForm } from "./forms/chat-form.js";
import { createDigitForm } from "./forms/digit-form.js";
import { createRequestForm } from "./forms/request-form.js";

/** The forms with which a service can be called. */
const FORMS = {
  Text: (service: ConsoleService) => createRequestForm(service, "text/plain"),
  JSON: (service: ConsoleService) => createRequestForm(service, "application/json"),
  Digit: createDigitForm,
  Chat: createChatForm,
};
type FormName = keyof typeof FORMS;

/** The form that is shown first, for the demo services. Other services start with text. */
const FIRST_FORMS: Readonly<Record<string, FormName>> = { scorecard: "JSON", digits: "Digit", llm: "Chat" };

/** The list of services, with a form to call the chosen one. */
export class ServicesSection {
  readonly #list = h("ul", { class: "picker", "aria-label": "Services" });
  readonly #panel = h("div", { class: "panel" });
  #services: readonly ConsoleService[] = [];
  #chosen = "";

  constructor(section: HTMLElement) {
    section.append(h("div", { class: "split" }, this.#list, this.#panel));
  }

  /** Shows the services. The open form is kept unless its service was removed. */
  show(services: readonly ConsoleService[]): void {
    if (JSON.stringify(services) === JSON.stringify(this.#services)) return;
    this.#services = services;
    this.#list.replaceChildren(
      ...services.map(({ name }) =>
        h(
          "li",
          {},
          button(name, () => this.#choose(name), { "aria-pressed": String(name === this.#chosen) }),
        ),
      ),
    );
    const [first] = services;
    if (first !== undefined && !services.some(({ name }) => name === this.#chosen)) this.#choose(first.name);
  }

  #choose(name: string): void {
    const service = this.#services.find((service) => service.name === name);
    if (service === undefined) return;
    this.#chosen = name;
    for (const item of this.#list.querySelectorAll("button")) {
      item.setAttribute("aria-pressed", String(item.textContent === name));
    }
    const form = h("div", {});
    const choices = (Object.keys(FORMS) as FormName[]).map((formName) => {
      const input = h("input", { type: "radio", name: "form", value: formName, id: `form-${formName}` });
      input.addEventListener("change", () => form.replaceChildren(FORMS[formName](service)));
      return { formName, input };
    });
    const first = FIRST_FORMS[name] ?? "Text";
    for (const { formName, input } of choices) input.checked = formName === first;
    form.append(FORMS[first](service));
    this.#panel.replaceChildren(
      h("h3", {}, name),
      h(
        "fieldset",
        { class: "choices" },
        h("legend", { class: "hidden" }, "Form"),
        ...choices.map(({ formName, input }) => h("span", {}, input, h("label", { for: input.id }, formName))),
      ),
      form,
    );
  }
}
