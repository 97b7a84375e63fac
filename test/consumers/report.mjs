/** Results by consumer: printed immediately, and as a table at the end. */
export class Report {
  #rows = [];

  get failed() {
    return this.#rows.filter(({ error }) => error).length;
  }

  get passed() {
    return this.#rows.length - this.failed;
  }

  /** Runs one check. Its result is printed as a note; it fails if it throws. */
  async check(consumer, what, run) {
    const started = performance.now();
    let row;
    try {
      row = { consumer, what, note: (await run()) ?? "" };
    } catch (error) {
      row = { consumer, what, note: "", error: explain(error) };
    }
    this.#rows.push(row);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${row.error ? "FAILED" : "ok    "} ${consumer}: ${what} (${seconds} s)`);
    if (row.error) console.log(row.error.replace(/^/gm, "    "));
  }

  /** Prints the table and the closing line. Returns whether all checks passed. */
  close() {
    const lines = this.#rows.map(({ consumer, what, note, error }) => [
      consumer,
      what,
      error ? "FAILED" : "passed",
      note,
    ]);
    const table = [["consumer", "what it does", "result", ""], ...lines];
    const widths = [0, 1, 2].map((column) => Math.max(...table.map((line) => line[column].length)));
    console.log();
    for (const [index, line] of table.entries()) {
      console.log(
        line
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd(),
      );
      if (index === 0) console.log(widths.map((width) => "-".repeat(width)).join("  "));
    }
    console.log(`\n${this.passed} passed, ${this.failed} failed`);
    return this.failed === 0 && this.passed > 0;
  }
}

/**
 * Returns the message of a plain `Error`. Other errors are faults of the check or its program, and are shown in
 * full.
 */
function explain(error) {
  return error?.constructor === Error ? error.message : (error?.stack ?? String(error));
}
