import type { Terminal } from "../terminal.js";
import type { BenchReport } from "./report.js";
import { showTime } from "./time.js";

/** Number of bars in the histogram. */
const BARS = 12;
const MIN_BAR_WIDTH = 8;

/** Returns the results as text that fits the terminal. */
export function textReport(report: BenchReport, terminal: Terminal): string {
  const { colors } = terminal;
  const { requests, latency, chat, capacity } = report;
  const parts = [
    `${colors.bold("Requests")}   ${requests.completed} completed, ${requests.failed} failed${requests.skipped > 0 ? `, ${requests.skipped} not sent` : ""}`,
    `${colors.bold("Throughput")} ${requests.perSecond.toFixed(1)} per second during ${(report.elapsed / 1_000).toFixed(1)} s`,
    "",
    terminal.table(
      ["latency", "p50", "p90", "p95", "p99", "p99.9", "max"],
      [["", ...["p50", "p90", "p95", "p99", "p99.9", "max"].map((key) => showTime(latency[key] ?? 0))]],
    ),
    "",
    ...bars(report, terminal),
  ];
  if (chat !== undefined) {
    parts.push(
      "",
      `${colors.bold("First token")} p50 ${showTime(chat.firstToken.p50 ?? 0)}, p99 ${showTime(chat.firstToken.p99 ?? 0)}`,
      `${colors.bold("Tokens")}      ${chat.tokensPerSecond.toFixed(1)} per second in total, ${chat.tokensPerSecondOfOne.toFixed(1)} within a response`,
    );
  }
  const errors = Object.entries(report.errors);
  if (errors.length > 0) {
    parts.push(
      "",
      terminal.table(
        ["error", "count"],
        errors.map(([kind, count]) => [kind, String(count)]),
      ),
    );
  }
  if (capacity !== undefined) parts.push("", capacity.text);
  return parts.join("\n");
}

function bars({ histogram }: BenchReport, terminal: Terminal): string[] {
  const ranges = histogram.ranges(BARS);
  const most = Math.max(1, ...ranges.map(({ count }) => count));
  const labels = ranges.map(({ to }) => showTime(to));
  const counts = ranges.map(({ count }) => String(count));
  const labelWidth = Math.max(0, ...labels.map((label) => label.length));
  const countWidth = Math.max(0, ...counts.map((count) => count.length));
  const width = Math.max(MIN_BAR_WIDTH, Math.min(60, terminal.columns - labelWidth - countWidth - 6));
  return ranges.map(({ count }, i) => {
    const bar = "█".repeat(Math.round((count / most) * width));
    return `≤ ${(labels[i] as string).padStart(labelWidth)} ${(counts[i] as string).padStart(countWidth)} ${terminal.colors.cyan(bar)}`.trimEnd();
  });
}
