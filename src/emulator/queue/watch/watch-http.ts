import type { Bytes } from "../../../formats/request.js";
import { resetConnection } from "../../faults.js";
import { PROTOBUF, withLength } from "../frames.js";
import type { Watches, WatchPlan, WatchSession } from "./watch.js";

/** Bytes that wait for the caller before no more are given. */
const MAX_BUFFERED = 256 * 1024;

/** A watch as the endless body of an answer: each frame behind its length. It ends when the caller goes. */
export function watchOverHttp(watches: Watches, plan: WatchPlan, caller: Request): Response {
  // Held by the closures below as a whole: the signal of a request that nobody holds never fires on Node.
  const request = caller;
  let session: WatchSession | undefined;
  const body = new ReadableStream<Bytes>(
    {
      start(controller) {
        const onAbort = () => {
          controller.error(request.signal.reason);
          session?.closed();
        };
        const stop = () => request.signal.removeEventListener("abort", onAbort);
        request.signal.addEventListener("abort", onAbort);
        session = watches.start(plan, {
          transport: "http",
          isFull: () => (controller.desiredSize ?? 0) <= 0,
          send: (frame) => controller.enqueue(withLength(frame)),
          end() {
            stop();
            controller.close();
          },
          cut() {
            stop();
            controller.error(resetConnection());
          },
        });
        if (request.signal.aborted) onAbort();
      },
      pull: () => session?.drained(),
      cancel: () => session?.closed(),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: MAX_BUFFERED }),
  );
  return new Response(body, { headers: { "content-type": PROTOBUF } });
}
