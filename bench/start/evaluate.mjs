// Prints the milliseconds that a script takes to compile and to run its top level for the first time.

import { readFileSync } from "node:fs";
import { Script } from "node:vm";

const code = readFileSync(process.argv[2], "utf8");
const start = performance.now();
new Script(code).runInThisContext();
console.log(performance.now() - start);
process.exit();
