// Communicates with peer.py: one request at a time, one line per message.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("peer.py", import.meta.url));
const ANSWER_MS = 60_000;

/** Error for an exception in Python. */
export class PythonError extends Error {
  constructor({ type, message, code }) {
    super(`${type}: ${message}`);
    this.type = type;
    this.code = code;
  }
}

export class Peer {
  #answers;

  constructor(python) {
    // Eight hours ahead of UTC all year, to show that the SDK labels local time as GMT.
    const env = { ...process.env, TZ: "CST-8" };
    // Isolated mode, so that no environment variable can load another SDK, and without writing bytecode.
    const args = ["-I", "-B", "-X", "utf8", PROGRAM];
    this.process = spawn(python, args, { stdio: ["pipe", "pipe", "inherit"], env });
    // If the program has ended, the missing response shows it.
    this.process.stdin.on("error", () => {});
    this.#answers = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** Calls an operation of peer.py. Rejects with a `PythonError` if it raises. */
  async ask(op, question = {}) {
    this.process.stdin.write(`${JSON.stringify({ op, ...question })}\n`);
    const overdue = setTimeout(() => this.process.kill(), ANSWER_MS);
    const { value, done } = await this.#answers.next();
    clearTimeout(overdue);
    if (done)
      throw new Error(`peer.py exited, or was stopped after ${ANSWER_MS / 1000} s without a response, in "${op}"`);
    const { result, error } = JSON.parse(value);
    if (error !== undefined) throw new PythonError(error);
    return result;
  }

  async end() {
    if (this.process.exitCode !== null) return;
    this.process.stdin.end();
    const overdue = setTimeout(() => this.process.kill(), 5_000);
    if (this.process.exitCode === null && this.process.signalCode === null) await once(this.process, "exit");
    clearTimeout(overdue);
  }
}
