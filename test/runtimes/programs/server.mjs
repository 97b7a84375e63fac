// What Node, Deno and Bun run, beside the suite. It ends by itself, or something was left open.
import { run } from "./suite.mjs";

await run(JSON.parse(process.argv[2]));
