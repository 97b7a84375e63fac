/**
 * Handles one item. Replace the body with your work. It can run twice for the same item, so results are named after the
 * request id, which is the same in every delivery.
 */
export async function handle(frame, { signal, reply }) {
  const { prompt } = frame.json();
  if (typeof prompt !== "string") throw new TypeError("the item has no prompt");
  // Pass the signal to everything that takes time. It fires when the worker has to stop.
  signal.throwIfAborted();
  await reply(JSON.stringify({ file: `${frame.requestId}.png`, prompt }));
}
