// The Node end of peer.py: one question at a time, one line each way.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("peer.py", import.meta.url));
const ANSWER_MS = 60_000;

/** What the Python side raised. */
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
    // Eight hours ahead of Greenwich all year: the SDK labels local time as GMT, which must show in what it sends.
    const env = { ...process.env, TZ: "CST-8" };
    // Isolated, so that no variable puts another SDK before the one that was installed; and nothing is written here.
    const args = ["-I", "-B", "-X", "utf8", PROGRAM];
    this.process = spawn(python, args, { stdio: ["pipe", "pipe", "inherit"], env });
    // A program that has ended is seen by the answer that does not come.
    this.process.stdin.on("error", () => {});
    this.#answers = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** What an operation of peer.py gives; rejects with a `PythonError` when it raises. */
  async ask(op, question = {}) {
    this.process.stdin.write(`${JSON.stringify({ op, ...question })}\n`);
    const overdue = setTimeout(() => this.process.kill(), ANSWER_MS);
    const { value, done } = await this.#answers.next();
    clearTimeout(overdue);
    if (done) throw new Error(`peer.py ended, or was ended after ${ANSWER_MS / 1000} s without an answer, in "${op}"`);
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
