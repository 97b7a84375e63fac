// Says how many milliseconds a script takes that was never seen before: to compile it and to run its top level.

import { readFileSync } from "node:fs";
import { Script } from "node:vm";

const code = readFileSync(process.argv[2], "utf8");
const start = performance.now();
new Script(code).runInThisContext();
console.log(performance.now() - start);
process.exit();
