import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { delayUntil } from "../../../src/call/failures/http-date.js";
import {
  type CallKind,
  isRepeatable,
  type Outcome,
  parseRetryAfter,
  RetryBudget,
  type RetryDecision,
  retryDecisionOn,
} from "../../../src/config/retry.js";

const document = readFileSync(new URL("../../../docs/reliability.md", import.meta.url), "utf8");

/** The outcome of each row of the table in docs/reliability.md. Rows that share one are listed once for each. */
const ROWS: Readonly<Record<string, readonly Outcome[]>> = {
  "nothing was sent": ["not sent"],
  "429, 450, 503 `no healthy upstream`": ["429 or 450", "not begun"],
  "the connection broke after sending": ["broken after sending"],
  "500, 502, 503": ["500 or 502", "503"],
  "the attempt timed out, 504": ["timeout or 504"],
  "408": ["408"],
  "other 4xx, 501, 505, redirects, unreadable responses": ["final"],
};

const COLUMNS: readonly (readonly CallKind[])[] = [["predict"], ["stream"], ["put", "take"], ["other"]];

const WORDS: Readonly<Record<string, RetryDecision>> = {
  yes: "retry",
  once: "once",
  never: "no",
  "never: `maybe…`": "unsure",
};

describe("the table of retries in docs/reliability.md", () => {
  const rows = document.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));

  test.each(Object.entries(ROWS))("%s", (name, outcomes) => {
    const cells = rows.find(([, cell]) => cell === name)?.slice(2, 6) ?? [];
    expect(cells).toHaveLength(COLUMNS.length);
    for (const outcome of outcomes) {
      for (const [i, kinds] of COLUMNS.entries()) {
        for (const kind of kinds)
          expect([kind, retryDecisionOn(kind, outcome)]).toEqual([kind, WORDS[cells[i] as string]]);
      }
    }
  });
});

test.each<[CallKind, boolean]>([
  ["predict", true],
  ["other", true],
  ["put", false],
  ["take", false],
  ["stream", false],
])("a runtime may resend a request of kind %s: %s", (kind, expected) => {
  expect(isRepeatable(kind)).toBe(expected);
});

describe("Retry-After", () => {
  const now = "Tue, 01 Dec 2026 12:00:00 GMT";

  test.each<[string, string, number | undefined]>([
    ["seconds", "7", 7_000],
    ["a fraction of several digits", "0.125", 125],
    ["no number after the point", "1.", undefined],
    ["a date of HTTP", "Tue, 01 Dec 2026 12:00:30 GMT", 30_000],
    ["a date of HTTP in its obsolete form", "Tuesday, 01-Dec-26 12:00:30 GMT", 30_000],
    ["a date of asctime with one digit", "Tue Dec  1 12:00:30 2026", 30_000],
    ["a date of asctime with a zone", "Tue Dec  1 12:00:30 2026 GMT", undefined],
    ["a date of HTTP without a zone", "Tue, 01 Dec 2026 12:00:30", undefined],
    ["a date in the past", "Tue, 01 Dec 2026 11:00:00 GMT", 0],
    ["text", "soon", undefined],
    ["nothing", "", undefined],
  ])("is read as %s", (_, value, expected) => {
    expect(parseRetryAfter(value) ?? delayUntil(value, now)).toBe(expected);
  });

  test("counts from the clock of this machine without a valid Date header", () => {
    const inHalfAMinute = new Date(Date.now() + 30_000).toUTCString();
    for (const date of [null, "yesterday"]) {
      const wait = delayUntil(inHalfAMinute, date);
      expect(wait).toBeGreaterThan(0);
      expect(wait).toBeLessThanOrEqual(30_000);
    }
  });
});

test("a full retry budget does not grow", () => {
  const count = (budget: RetryBudget) => {
    let taken = 0;
    while (budget.spend(false)) taken++;
    return taken;
  };
  const budget = new RetryBudget();
  for (let i = 0; i < 1_000; i++) budget.refill();
  expect(count(budget)).toBe(count(new RetryBudget()));
});
