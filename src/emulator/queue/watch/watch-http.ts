import type { Bytes } from "../../../formats/request.js";
import { resetConnection } from "../../faults.js";
import { PROTOBUF, withLength } from "../frames.js";
import type { Watches, WatchPlan, WatchSession } from "./watch.js";

/** Number of buffered bytes at which deliveries pause until the caller reads. */
const MAX_BUFFERED = 256 * 1024;

/** Starts a watch whose frames are an endless response body, each after its length. It ends when the caller disconnects. */
export function watchOverHttp(watches: Watches, plan: WatchPlan, caller: Request): Response {
  // The closures below keep the request alive: on Node, the signal of a garbage-collected request never fires.
  const request = caller;
  let session: WatchSession | undefined;
  const body = new ReadableStream<Bytes>(
    {
      start(controller) {
        const onAbort = () => {
          controller.error(request.signal.reason);
          session?.onClose();
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
      pull: () => session?.onDrain(),
      cancel: () => session?.onClose(),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: MAX_BUFFERED }),
  );
  return new Response(body, { headers: { "content-type": PROTOBUF } });
}
