import type { ConsoleService } from "../../protocol.js";
import { bytes, field, h, milliseconds, select } from "../dom.js";
import { callService, messageOf } from "./call-service.js";

/** Number of characters of a response that the page shows. */
const MAX_SHOWN = 20_000;

/** Bodies to begin with, by the service and the content type. */
const SAMPLES: Readonly<Record<string, string>> = {
  "scorecard application/json": `[{
  "mean_radius": 17.68, "mean_texture": 20.74, "mean_smoothness": 0.1115, "mean_compactness": 0.1665,
  "mean_concavity": 0.1855, "mean_concave_points": 0.1054, "mean_symmetry": 0.1971, "mean_fractal_dimension": 0.06166
}]`,
  "llm application/json": '{\n  "model": "eas-ngram",\n  "messages": [{ "role": "user", "content": "hello" }]\n}',
};
const SAMPLE_PATHS: Readonly<Record<string, string>> = { "llm application/json": "/v1/chat/completions" };

/** Creates a form that sends a body to a service and shows the response. */
export function createRequestForm(service: ConsoleService, contentType: string): HTMLElement {
  const isJson = contentType === "application/json";
  const key = `${service.name} ${contentType}`;
  const method = select(["POST", "GET", "PUT", "DELETE"]);
  const path = h("input", { placeholder: "/path?query", spellcheck: "false" });
  path.value = SAMPLE_PATHS[key] ?? "";
  const type = h("input", { spellcheck: "false" });
  type.value = contentType;
  const body = h("textarea", { rows: 5, spellcheck: "false" });
  body.value = SAMPLES[key] ?? (isJson ? "{}" : "hello");
  const result = h("div", { class: "result", role: "status" });
  const send = h("button", { class: "primary" }, "Send");
  const form = h(
    "form",
    { class: "form" },
    h("div", { class: "row" }, field("Method", method), field("Path after the service", path, "wide")),
    field("Content type", type),
    field("Body", body),
    h("div", { class: "row" }, send),
    result,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const problem = isJson && method.value !== "GET" ? jsonProblem(body.value) : undefined;
    body.setAttribute("aria-invalid", String(problem !== undefined));
    if (problem !== undefined) return showProblem(result, problem);
    void run();
  });

  async function run(): Promise<void> {
    send.disabled = true;
    result.setAttribute("aria-busy", "true");
    const startedAt = performance.now();
    try {
      const hasBody = method.value !== "GET";
      const response = await callService(service, path.value, {
        method: method.value,
        ...(hasBody && { body: body.value, headers: { "content-type": type.value } }),
      });
      const data = new Uint8Array(await response.arrayBuffer());
      showResponse(result, response, data, performance.now() - startedAt);
    } catch (error) {
      showProblem(result, messageOf(error));
    } finally {
      send.disabled = false;
      result.setAttribute("aria-busy", "false");
    }
  }
  return form;
}

function jsonProblem(text: string): string | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return `The body is not JSON: ${(error as Error).message}`;
  }
}

/** Shows an error in the place of a response. */
export function showProblem(result: HTMLElement, message: string): void {
  result.replaceChildren(h("p", { class: "problem" }, message));
}

function showResponse(result: HTMLElement, response: Response, data: Uint8Array, elapsed: number): void {
  const { status, statusText, headers } = response;
  const kind = status < 400 ? "ok" : "bad";
  result.replaceChildren(
    h(
      "p",
      {},
      h("strong", { class: `status ${kind}` }, `${status} ${statusText}`),
      ` ${milliseconds(elapsed)}, ${bytes(data.length)}, ${headers.get("content-type") ?? "no content type"}`,
    ),
    h("pre", { tabindex: 0, role: "region", "aria-label": "Response body" }, textOf(data, headers)),
  );
}

function textOf(data: Uint8Array, headers: Headers): string {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(data);
    const isJson = headers.get("content-type")?.includes("json") || /^\s*[[{]/.test(text);
    const shown = isJson ? prettyJson(text) : text;
    return shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)}…` : shown;
  } catch {
    const hex = Array.from(data.subarray(0, 512), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    return data.length > 512 ? `${hex} …` : hex;
  }
}

function prettyJson(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
