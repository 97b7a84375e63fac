// The parent's side of a Python contender: like `Child`, for a module of this folder.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("contender.py", import.meta.url));

export class PythonChild {
  #id = 0;
  #lines;

  constructor(python, module, settings = {}) {
    this.process = spawn(python, [PROGRAM, module, JSON.stringify(settings)], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
    });
    this.pid = this.process.pid;
    this.#lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** Resolves with the result of the module's function `name`. Rejects with its error. */
  async ask(name, order) {
    const id = ++this.#id;
    this.process.stdin.write(`${JSON.stringify({ id, name, order })}\n`);
    const { value: line, done } = await this.#lines.next();
    if (done) throw new Error(`${this.process.spawnargs.slice(1, 3).join(" ")} has ended`);
    const { id: answered, error, result } = JSON.parse(line);
    if (answered !== id) throw new Error("an answer to another question");
    if (error) throw new Error(error);
    return result;
  }

  end() {
    this.process.stdin.end();
  }
}
