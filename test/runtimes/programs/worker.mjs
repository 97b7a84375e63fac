// The suite as a worker: all that it does belongs to one request.
import { run } from "../../suite/main.ts";

export default {
  async fetch(request) {
    await run(await request.json());
    return new Response("done");
  },
};
