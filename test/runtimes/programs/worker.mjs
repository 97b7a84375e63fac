// Runs the suite in a worker, within one request.
import { run } from "../../suite/main.ts";

export default {
  async fetch(request) {
    await run(await request.json());
    return new Response("done");
  },
};
