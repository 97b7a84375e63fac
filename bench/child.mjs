// A child process that performs one task at a time on request. Each contender is one, so that it does not share
// compiled code or garbage with others. (In a process that had just run the generated codec, a copy of 600 KB took
// twice as long.)

import { fork } from "node:child_process";

/** The parent's side. Starts `file` of this folder, which ends when this process does. */
export class Child {
  #id = 0;

  constructor(file, settings = {}) {
    this.process = fork(new URL(file, import.meta.url), [JSON.stringify(settings)]);
    this.pid = this.process.pid;
  }

  /** Resolves with the result of the child's method `name`. Rejects with its error. */
  async ask(name, order) {
    const id = ++this.#id;
    const answer = new Promise((resolve, reject) => {
      const onExit = (code) => reject(new Error(`process ${this.process.spawnargs.slice(1)} ended with ${code}`));
      this.process.once("exit", onExit);
      this.process.once("message", (message) => {
        this.process.off("exit", onExit);
        resolve(message);
      });
    });
    this.process.send({ id, name, order });
    const { id: answered, error, result } = await answer;
    if (answered !== id) throw new Error("an answer to another question");
    if (error) throw new Error(error);
    return result;
  }

  end() {
    if (this.process.connected) this.process.disconnect();
  }
}

/** The arguments of the process. */
export const settings = () => JSON.parse(process.argv[2]);

/** The child's side. Responds with the results of `methods`. */
export function serve(methods) {
  process.on("message", async ({ id, name, order }) => {
    try {
      process.send({ id, result: await methods[name](order) });
    } catch (error) {
      process.send({ id, error: error.stack });
    }
  });
  process.on("disconnect", () => process.exit());
}
