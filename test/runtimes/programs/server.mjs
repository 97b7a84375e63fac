// Additional program for Node, Deno and Bun. It must end by itself; otherwise something was left open.
import { run } from "./suite.mjs";

await run(JSON.parse(process.argv[2]));
