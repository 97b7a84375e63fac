import { describe, expect, test } from "vitest";
import { TOKEN } from "../../../support/calls.js";
import { eventually, openQueue, TRANSPORTS, watchWith } from "../../../support/queue-watch.js";

// Calls of the client can also end items, as the official SDKs document. The client's watcher tracks these calls.

describe.each(TRANSPORTS)("client calls on items of its watch over %s", (transport) => {
  test.each(["commit", "delete"] as const)("%s makes room in the window", async (method) => {
    const { client, put, input } = await openQueue();
    put(3);
    const queue = client();
    const { frames, indexes } = watchWith(queue, 0, 1, { transport });
    for (let i = 0; i < 3; i++) {
      await eventually(() => expect(frames).toHaveLength(i + 1));
      await queue[method](frames[i]?.index ?? 0n);
    }
    expect(indexes()).toEqual([1n, 2n, 3n]);
    expect(input.length).toBe(0);
  });

  test.runIf(transport !== "poll")("delivers an item again after a negative", async () => {
    const { client, put, input } = await openQueue();
    put(1);
    const queue = client();
    const { frames, indexes } = watchWith(queue, 0, 1, { transport });
    await eventually(() => expect(frames).toHaveLength(1));
    await queue.negative(1);
    await eventually(() => expect(frames).toHaveLength(2));
    expect(indexes()).toEqual([1n, 1n]);
    await frames[1]?.commit();
    expect(input.length).toBe(0);
  });

  test.runIf(transport !== "poll")("returns an item to the queue once the token is valid again", async () => {
    const { client, put, input } = await openQueue({ maxDeliveries: Number.POSITIVE_INFINITY });
    put(1);
    const queue = client();
    const { frames, indexes } = watchWith(queue, 0, 2, { transport });
    await eventually(() => expect(frames).toHaveLength(1));
    queue.setToken("of another service");
    await expect(queue.negative(1, { code: "Model.Error" })).rejects.toMatchObject({ status: 401 });
    expect(input.negatives).toEqual([]);
    queue.setToken(TOKEN);
    await eventually(() => expect(frames).toHaveLength(2));
    expect(indexes()).toEqual([1n, 1n]);
    expect(input.negatives).toMatchObject([{ index: 1n, code: "Model.Error" }]);
  });
});
