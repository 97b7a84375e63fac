import { type BodyPreview, MAX_REQUESTS, type RequestDetails, type RequestSummary } from "../protocol.js";
import type { ConsoleConnection } from "./connection.js";
import { button, bytes, field, h, milliseconds } from "./dom.js";

/** Minimum milliseconds between two announcements of the number of requests. */
const ANNOUNCE_MS = 3000;

interface Row {
  readonly row: HTMLTableRowElement;
  readonly details: HTMLTableRowElement;
  readonly toggle: HTMLButtonElement;
  readonly cells: Readonly<Record<"status" | "time" | "size", HTMLTableCellElement>>;
  summary: RequestSummary;
}

/** The list of requests, newest first. Each row opens to show the headers and the bodies. */
export class RequestsSection {
  readonly #connection: ConsoleConnection;
  readonly #rows = new Map<number, Row>();
  readonly #body = h("tbody", {});
  readonly #filter = h("input", { type: "search", spellcheck: "false", placeholder: "service, path or status" });
  readonly #pause: HTMLButtonElement;
  readonly #count = h("p", { class: "quiet", role: "status" }, "No requests yet");
  readonly #empty = h("p", { class: "empty" }, "Requests appear here as they arrive.");
  /** Changes that arrived while the list was paused. */
  #waiting: RequestSummary[] = [];
  #isPaused = false;
  #announcement: ReturnType<typeof setTimeout> | undefined;

  constructor(section: HTMLElement, connection: ConsoleConnection) {
    this.#connection = connection;
    this.#pause = button("Pause", () => this.#setPaused(!this.#isPaused), { "aria-pressed": "false" });
    this.#filter.addEventListener("input", () => this.#applyFilter());
    const head = ["Time", "Method", "Path", "Status", "Duration", "Size"].map((title) =>
      h("th", { scope: "col" }, title),
    );
    section.append(
      h(
        "div",
        { class: "row" },
        field("Filter", this.#filter, "wide inline"),
        this.#pause,
        button("Clear", () => this.#clear()),
      ),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "List of requests" },
        h("table", {}, h("thead", {}, h("tr", {}, ...head)), this.#body),
        this.#empty,
      ),
      this.#count,
    );
  }

  /** Adds new requests and updates changed requests. */
  add(changed: readonly RequestSummary[]): void {
    if (this.#isPaused) {
      this.#waiting = [...this.#waiting, ...changed].slice(-MAX_REQUESTS);
      return;
    }
    for (const summary of changed) {
      const row = this.#rows.get(summary.id) ?? this.#addRow(summary);
      this.#update(row, summary);
    }
    for (const [id, { row, details }] of this.#rows) {
      if (this.#rows.size <= MAX_REQUESTS) break;
      row.remove();
      details.remove();
      this.#rows.delete(id);
    }
    this.#empty.hidden = this.#rows.size > 0;
    if (this.#announcement !== undefined) return;
    this.#showCount();
    this.#announcement = setTimeout(() => {
      this.#announcement = undefined;
      this.#showCount();
    }, ANNOUNCE_MS);
  }

  #addRow(summary: RequestSummary): Row {
    const target = summary.instance === undefined ? summary.url : `${summary.url} (${summary.instance})`;
    const toggle = button(target, () => void this.#toggle(row), { class: "link", "aria-expanded": "false" });
    const cells = { status: h("td", {}), time: h("td", { class: "number" }), size: h("td", { class: "number" }) };
    const time = new Date(summary.time).toTimeString().slice(0, 8);
    const row: Row = {
      row: h(
        "tr",
        {},
        h("td", {}, h("time", { datetime: new Date(summary.time).toISOString() }, time)),
        h("td", {}, summary.method),
        h("td", { class: "target" }, toggle),
        cells.status,
        cells.time,
        cells.size,
      ),
      details: h("tr", { hidden: true, class: "details" }, h("td", { colspan: 6 })),
      toggle,
      cells,
      summary,
    };
    this.#rows.set(summary.id, row);
    this.#body.prepend(row.row, row.details);
    return row;
  }

  #update(row: Row, summary: RequestSummary): void {
    row.summary = summary;
    const { status, outcome, headMs, totalMs, responseBytes } = summary;
    const text =
      outcome === undefined || outcome === "complete" ? String(status ?? "…") : `${status ?? "–"} ${outcome}`;
    const isBad = (status ?? 0) >= 400 || outcome === "broken";
    row.cells.status.replaceChildren(h("span", { class: `status ${isBad ? "bad" : "ok"}` }, text));
    const time = totalMs ?? headMs;
    row.cells.time.textContent = time === undefined ? "…" : `${milliseconds(time)}${totalMs === undefined ? " …" : ""}`;
    row.cells.size.textContent = bytes(responseBytes);
    row.row.hidden = !this.#matches(summary);
    if (!row.details.hidden) void this.#load(row);
  }

  async #toggle(row: Row): Promise<void> {
    row.details.hidden = !row.details.hidden;
    row.toggle.setAttribute("aria-expanded", String(!row.details.hidden));
    if (!row.details.hidden) await this.#load(row);
  }

  async #load(row: Row): Promise<void> {
    const details = await this.#connection.details(row.summary.id).catch(() => undefined);
    const content =
      details === undefined ? h("p", {}, "The emulator no longer keeps this request.") : renderDetails(details);
    row.details.cells[0]?.replaceChildren(content);
  }

  #setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#pause.setAttribute("aria-pressed", String(isPaused));
    if (isPaused) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.add(waiting);
  }

  #clear(): void {
    this.#rows.clear();
    this.#waiting = [];
    this.#body.replaceChildren();
    this.#empty.hidden = false;
    this.#showCount();
    void this.#connection.send("clear", {}).catch(() => {});
  }

  #applyFilter(): void {
    for (const { row, details, toggle, summary } of this.#rows.values()) {
      row.hidden = !this.#matches(summary);
      details.hidden = row.hidden || toggle.getAttribute("aria-expanded") !== "true";
    }
    this.#showCount();
  }

  #matches({ method, url, service = "", status }: RequestSummary): boolean {
    const wanted = this.#filter.value.trim().toLowerCase();
    return `${method} ${url} ${service} ${status ?? ""}`.toLowerCase().includes(wanted);
  }

  #showCount(): void {
    const shown = [...this.#rows.values()].filter(({ row }) => !row.hidden).length;
    this.#count.textContent =
      this.#rows.size === 0 ? "No requests yet" : `${shown} of the last ${this.#rows.size} requests`;
  }
}

function renderDetails(details: RequestDetails): HTMLElement {
  const { auth, headMs, totalMs, requestBytes, responseBytes, outcome } = details;
  const facts: readonly (readonly [string, string])[] = [
    ["Authentication", auth],
    ["First byte", headMs === undefined ? "none" : milliseconds(headMs)],
    ["Total", totalMs === undefined ? "in progress" : milliseconds(totalMs)],
    ["Outcome", outcome ?? "in progress"],
  ];
  return h(
    "div",
    { class: "exchange" },
    h("dl", { class: "facts" }, ...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    renderMessage("Request", details.requestHeaders, details.requestBody, requestBytes),
    renderMessage("Response", details.responseHeaders, details.responseBody, responseBytes),
  );
}

function renderMessage(
  title: string,
  headers: RequestDetails["requestHeaders"],
  body: BodyPreview,
  length: number,
): HTMLElement {
  const lines = headers.map(([name, value]) => `${name}: ${value}`).join("\n");
  const note = `${bytes(length)}${body.isHex ? ", binary" : ""}${body.isCut ? ", first part" : ""}`;
  return h(
    "div",
    {},
    h("h3", {}, title, " ", h("span", { class: "quiet" }, note)),
    h("pre", { tabindex: 0, role: "region", "aria-label": `${title} headers` }, lines),
    ...(body.text === "" ? [] : [h("pre", { tabindex: 0, role: "region", "aria-label": `${title} body` }, body.text)]),
  );
}
