// Formats tables for the terminal and for Markdown.

/** Formats a group of `measure`, or a group with its own `columns`, `rows` and `caption`. */
export function table(group) {
  if (group.rows) return `### ${group.name}\n\n${markdown(group.columns, group.rows)}\n\n${group.caption}`;
  const { name, unit, contenders, roundsUsed, rounds, quiet, outsideLoad } = group;
  const one = unit === "ms" ? "" : `/${unit.replace(/s\/s$/, "")}`;
  const withServer = contenders.some(({ serverCpu }) => serverCpu !== undefined);
  const header = ["", `${unit}, median`, "min..max", "ratio to the ceiling", "min..max", `CPU µs${one}`];
  if (withServer) header.push("client CPU", "server CPU");
  const lines = contenders.map(({ name, median, min, max, ratioToCeiling: ratio, ...cpu }) => [
    name,
    number(median),
    `${number(min)}..${number(max)}`,
    ratio.median.toFixed(2),
    range(ratio),
    cpu.cpuMicroseconds.toFixed(1),
    ...(withServer ? [cpu.clientCpu.toFixed(2), cpu.serverCpu.toFixed(2)] : []),
  ]);
  const noise = quiet ? "" : "; **not quiet**";
  const caption =
    `Ceiling: ${ceilings(group)}. ` +
    `${roundsUsed} of ${rounds} rounds used, ${outsideLoad.median.toFixed(2)} cores busy with something else${noise}.`;
  return `### ${name}\n\n${markdown(header, lines)}\n\n${caption}`;
}

function ceilings({ ceiling, contenders }) {
  const text = (names) => `${names.length > 1 ? "the fastest of " : ""}${names.join(", ")}`;
  const others = new Set(contenders.map(({ ceiling }) => text(ceiling)));
  others.delete(text(ceiling));
  return [text(ceiling), ...others].join("; or ");
}

export function barTable(bars) {
  const rows = bars.map(({ what, limit, median, holds, note, ...figures }) => [
    what,
    limit,
    median.toFixed(2),
    range(figures),
    holds ? "yes" : "**no**",
    note,
  ]);
  return markdown(["bar", "limit", "median", "min..max", "holds", ""], rows);
}

function range({ min, max }) {
  return `${min.toFixed(2)}..${max.toFixed(2)}`;
}

function number(value) {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value < 0.01 ? value.toPrecision(2) : value.toFixed(3);
}

export function markdown(header, rows) {
  const widths = header.map((text, i) => Math.max(text.length, ...rows.map((row) => row[i].length)));
  const line = (cells) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(" | ")} |`;
  return [
    line(header),
    `|${widths.map((width, i) => `${i === 0 ? "-" : "-"}`.repeat(width + 2)).join("|")}|`,
    ...rows.map(line),
  ].join("\n");
}
