const COLUMNS = [
  ["scenario", 34, ({ name }) => name],
  ["mode", 8, ({ mode }) => mode],
  ["kind", 8, ({ kind }) => kind],
  ["calls", 6, ({ calls }) => calls],
  ["answered", 9, ({ answered }) => answered],
  ["retries", 8, ({ retries }) => retries],
  ["p50 ms", 8, ({ p50 }) => p50?.toFixed(1)],
  ["p99 ms", 8, ({ p99 }) => p99?.toFixed(1)],
  ["late ms", 8, ({ late }) => late?.toFixed(0)],
  ["loop ms", 8, ({ loop }) => loop?.toFixed(0)],
  ["sockets", 8, ({ sockets }) => sockets],
  ["listeners", 10, ({ listeners }) => listeners],
  ["timers", 7, ({ timers }) => timers],
  ["heap KiB", 9, ({ heap }) => (heap === undefined ? undefined : Math.round(heap / 1024))],
  ["failed with", 0, ({ failed, extra }) => [failed, extra].filter(Boolean).join("; ") || "-"],
];
/** Maximum number of problems printed per scenario. */
const MOST = 5;

const line = (cells) =>
  cells
    .map((cell, i) => `${cell ?? "-"}`.padEnd(COLUMNS[i][1]))
    .join(" ")
    .trimEnd();

export function printHead() {
  console.log(line(COLUMNS.map(([name]) => name)));
}

export function printRow({ row, problems }) {
  console.log(line(COLUMNS.map(([, , of]) => of(row))));
  for (const problem of problems.slice(0, MOST)) console.log(`    FAILED: ${problem}`);
  if (problems.length > MOST) console.log(`    FAILED: and ${problems.length - MOST} more`);
}
