// Runs the suite in the edge runtime's VM.
import { readFileSync } from "node:fs";
import { EdgeVM } from "@edge-runtime/vm";

const [, , file, context] = process.argv;
const vm = new EdgeVM();
vm.evaluate(readFileSync(file, "utf8"));
await vm.evaluate(`runEasPredictionSuite(${context})`);
