// Both ends of a process of this folder that does one thing at a time when it is told to. Contenders are such processes, so
// that none runs on code that the engine has compiled for another one's objects, or beside another one's garbage (tried: a
// copy of 600 KB takes twice as long in a process that has just run the generated codec).

import { fork } from "node:child_process";

/** The near end: starts `file` of this folder, which ends when this process does. */
export class Child {
  #id = 0;

  constructor(file, settings = {}) {
    this.process = fork(new URL(file, import.meta.url), [JSON.stringify(settings)]);
    this.pid = this.process.pid;
  }

  /** What the child's method `name` returns; rejects with its error. */
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

/** What the process was started with. */
export const settings = () => JSON.parse(process.argv[2]);

/** The far end: answers with what `methods` return. */
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
