import { createParser } from "eventsource-parser";
import type { ConsoleService } from "../../protocol.js";
import { button, field, h } from "../dom.js";
import { callService, messageOf } from "./call-service.js";

interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** The fields of a streamed chunk that the page shows. */
interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
  readonly error?: { readonly message?: string };
}

/** Creates a form that chats with a service through `/v1/chat/completions`, streamed. */
export function createChatForm(service: ConsoleService): HTMLElement {
  const log = h("div", { class: "chat", role: "log", tabindex: 0, "aria-label": "Conversation" });
  const input = h("textarea", { rows: 2 });
  const send = h("button", { class: "primary" }, "Send");
  const stop = button("Stop", () => running?.abort(), { disabled: true });
  const clear = button("Clear", () => {
    running?.abort();
    history = [];
    log.replaceChildren();
  });
  let history: Message[] = [];
  let running: AbortController | undefined;

  const form = h(
    "form",
    { class: "form" },
    log,
    field("Message", input),
    h(
      "div",
      { class: "row" },
      send,
      stop,
      clear,
      h("span", { class: "quiet" }, "Enter sends, Shift+Enter adds a line"),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const content = input.value.trim();
    if (content === "" || running !== undefined) return;
    input.value = "";
    void ask(content);
  });
  input.addEventListener("keydown", (event) => {
    // While the user composes Chinese or Japanese text, Enter chooses a candidate.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });

  async function ask(content: string): Promise<void> {
    history.push({ role: "user", content });
    addBubble("user", content);
    const reply = addBubble("assistant", "");
    // Screen readers announce the whole reply instead of each word.
    log.setAttribute("aria-busy", "true");
    running = new AbortController();
    stop.disabled = false;
    send.disabled = true;
    let text = "";
    try {
      await streamChat(service, history, running.signal, (part) => {
        const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
        text += part;
        reply.append(part);
        if (isAtEnd) log.scrollTop = log.scrollHeight;
      });
    } catch (error) {
      if (!running.signal.aborted) reply.append(h("span", { class: "problem" }, ` ${messageOf(error)}`));
      else reply.append(h("span", { class: "quiet" }, " (stopped)"));
    }
    if (text !== "") history.push({ role: "assistant", content: text });
    else history.pop();
    running = undefined;
    stop.disabled = true;
    send.disabled = false;
    log.setAttribute("aria-busy", "false");
  }

  function addBubble(role: "user" | "assistant", text: string): HTMLElement {
    const content = h("span", {}, text);
    const name = role === "user" ? "You" : service.name;
    log.append(h("p", { class: `bubble ${role}` }, h("strong", {}, `${name}: `), content));
    log.scrollTop = log.scrollHeight;
    return content;
  }
  return form;
}

/** Sends the conversation and passes on the text of the reply as it arrives. */
async function streamChat(
  service: ConsoleService,
  messages: readonly Message[],
  signal: AbortSignal,
  onText: (text: string) => void,
): Promise<void> {
  const model = await firstModel(service, signal);
  const response = await callService(service, "/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...(model !== undefined && { model }), messages, stream: true }),
    signal,
  });
  if (!response.ok || response.body === null) throw new Error(`${response.status}: ${await response.text()}`);
  let isComplete = false;
  let problem: string | undefined;
  const parser = createParser({
    onEvent({ data }) {
      if (data === "[DONE]") {
        isComplete = true;
        return;
      }
      const { choices, error } = JSON.parse(data) as Chunk;
      if (error !== undefined) problem = error.message ?? "The service reported an error.";
      onText(choices?.[0]?.delta?.content ?? "");
    },
  });
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parser.feed(decoder.decode(value, { stream: true }));
  }
  if (problem !== undefined) throw new Error(problem);
  if (!isComplete) throw new Error("The stream ended before the reply was complete.");
}

/** Returns the first model of a service; undefined when it does not list its models. */
async function firstModel(service: ConsoleService, signal: AbortSignal): Promise<string | undefined> {
  const response = await callService(service, "/v1/models", { signal });
  if (!response.ok) return undefined;
  const { data } = (await response.json()) as { data?: readonly { id: string }[] };
  return data?.[0]?.id;
}
