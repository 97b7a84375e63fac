import { describe, expect, test } from "vitest";
import type { DataFrame } from "../../../../src/queue/frame.js";
import { DeliveryTracker, idOf, isReusable, isSame } from "../../../../src/queue/watch/deliveries/delivery-tracker.js";

/** The first index that is derived from a time. A recreated queue may reuse lower indexes. */
const TIME_INDEX = 1n << 60n;
/** Number of commits after which the tracker begins to forget the oldest. */
const REMEMBERED = 1024;

function frame(index: bigint | number, requestId?: string, owner: unknown = "first"): DataFrame {
  return { index: BigInt(index), requestId, owner } as unknown as DataFrame;
}

function damaged(index: bigint): DataFrame {
  return {
    index,
    get requestId(): string {
      throw new Error("damaged tags");
    },
  } as unknown as DataFrame;
}

describe("a frame that is pushed again", () => {
  test("is new the first time, and held while it is not settled", () => {
    const tracker = new DeliveryTracker(5);
    expect(tracker.take(frame(1, "a"))).toBe("new");
    expect(tracker.take(frame(2, "b"))).toBe("new");
    expect(tracker.take(frame(1, "a"))).toBe("held");
    expect(tracker.take(frame(2, "b"))).toBe("held");
  });

  test("belongs to the connection that pushed it last", () => {
    const tracker = new DeliveryTracker(5);
    const first = frame(1, "a", "first");
    tracker.take(first);
    tracker.take(frame(1, "a", "second"));
    expect(first.owner).toBe("second");
    expect(tracker.get(1n)).toBe(first);
  });

  test("is another item if its id differs and its index can be reused", () => {
    const tracker = new DeliveryTracker(5);
    tracker.take(frame(1, "a"));
    expect(tracker.take(frame(1, "b"))).toBe("other");
    tracker.take(frame(TIME_INDEX, "a"));
    expect(tracker.take(frame(TIME_INDEX, "b"))).toBe("held");
  });

  test("is committed after its commit, unless its index can be reused and its id differs", () => {
    const tracker = new DeliveryTracker(5);
    for (const index of [7n, TIME_INDEX]) {
      tracker.take(frame(index, "a"));
      tracker.committed(index);
    }
    expect(tracker.take(frame(7, "a"))).toBe("committed");
    expect(tracker.take(frame(7, "b"))).toBe("other");
    expect(tracker.take(frame(TIME_INDEX, "b"))).toBe("committed");
  });

  test("is new after its commit if its id does not prove that it is the same item", () => {
    const tracker = new DeliveryTracker(5);
    tracker.take(frame(7));
    tracker.committed(7n);
    expect(tracker.take(frame(7, "a"))).toBe("new");
    expect(tracker.take(frame(7, "a"))).toBe("held");
  });

  test("is new after it was released or nacked", () => {
    const tracker = new DeliveryTracker(5);
    tracker.take(frame(1, "a"));
    tracker.released(1n, true);
    expect(tracker.take(frame(1, "a"))).toBe("new");
    tracker.nacking(1n);
    expect(tracker.take(frame(1, "a"))).toBe("new");
    expect(tracker.isStuck).toBe(false);
  });
});

describe("the memory of commits", () => {
  test("keeps the latest commits and forgets the oldest", () => {
    const tracker = new DeliveryTracker(1);
    const commit = (from: number, count: number) => {
      for (let i = from; i < from + count; i++) {
        tracker.take(frame(TIME_INDEX + BigInt(i)));
        tracker.committed(TIME_INDEX + BigInt(i));
      }
    };
    commit(0, 2 * REMEMBERED - 1);
    expect(tracker.take(frame(TIME_INDEX))).toBe("committed");
    commit(2 * REMEMBERED - 1, 1);
    expect(tracker.take(frame(TIME_INDEX))).toBe("new");
    expect(tracker.take(frame(TIME_INDEX + BigInt(REMEMBERED)))).toBe("committed");
  });

  test("grows with the window", () => {
    const tracker = new DeliveryTracker(1_000);
    for (let i = 0; i < 2 * REMEMBERED; i++) {
      tracker.take(frame(TIME_INDEX + BigInt(i)));
      tracker.committed(TIME_INDEX + BigInt(i));
    }
    expect(tracker.take(frame(TIME_INDEX))).toBe("committed");
  });

  test("remembers each index once, including an index that was not held", () => {
    const tracker = new DeliveryTracker(5);
    tracker.take(frame(TIME_INDEX + 9n));
    tracker.committed(TIME_INDEX);
    tracker.committed(TIME_INDEX);
    expect(tracker.take(frame(TIME_INDEX))).toBe("committed");
    // Repeated commits of one index must not displace others.
    for (let i = 0; i < 3 * REMEMBERED; i++) tracker.committed(TIME_INDEX);
    expect(tracker.take(frame(TIME_INDEX))).toBe("committed");
  });
});

describe("the free room of the window", () => {
  test("decreases with held frames, and increases when the frames are settled", () => {
    const tracker = new DeliveryTracker(3);
    expect(tracker.room).toBe(3);
    for (const index of [1, 2, 3]) tracker.take(frame(index));
    expect(tracker.room).toBe(0);
    tracker.committed(1n);
    tracker.nacking(2n);
    tracker.released(3n, false);
    expect(tracker.room).toBe(3);
  });
});

describe("a negative", () => {
  test("holds the frame again when it was refused", () => {
    const tracker = new DeliveryTracker(5);
    const first = frame(1, "a");
    tracker.take(first);
    tracker.nacking(1n);
    expect(tracker.get(1n)).toBeUndefined();
    tracker.nackSettled(1n, "refused");
    expect(tracker.get(1n)).toBe(first);
    expect(tracker.isStuck).toBe(false);
  });

  test("releases the frame until the next connection when its result is unknown", () => {
    const tracker = new DeliveryTracker(5);
    tracker.take(frame(1, "a"));
    tracker.nacking(1n);
    expect(tracker.isStuck).toBe(false);
    tracker.nackSettled(1n, "unknown");
    expect(tracker.get(1n)).toBeUndefined();
    expect(tracker.isStuck).toBe(true);
  });

  test("removes the frame when it was carried out", () => {
    const tracker = new DeliveryTracker(5);
    tracker.take(frame(1, "a"));
    tracker.released(1n, true);
    tracker.nackSettled(1n, "done");
    expect(tracker.isStuck).toBe(false);
  });

  test("has no effect on a frame that was pushed again meanwhile", () => {
    const tracker = new DeliveryTracker(5);
    tracker.take(frame(1, "a"));
    tracker.nacking(1n);
    const second = frame(1, "a");
    tracker.take(second);
    tracker.nackSettled(1n, "refused");
    tracker.nackSettled(1n, "unknown");
    expect(tracker.get(1n)).toBe(second);
  });

  test("has no effect on a frame that is not held", () => {
    const tracker = new DeliveryTracker(5);
    tracker.nacking(1n);
    tracker.nackSettled(1n, "unknown");
    expect([tracker.isStuck, tracker.room]).toEqual([false, 5]);
  });
});

describe("a watch that only waits for released frames", () => {
  test("is stuck when no other frame is held and no negative is pending", () => {
    const tracker = new DeliveryTracker(5);
    expect(tracker.isStuck).toBe(false);
    tracker.take(frame(1));
    tracker.take(frame(2));
    tracker.take(frame(3));
    tracker.released(1n, true);
    expect(tracker.isStuck).toBe(false);
    tracker.nacking(2n);
    tracker.committed(3n);
    expect(tracker.isStuck).toBe(false);
    tracker.nackSettled(2n, "done");
    expect(tracker.isStuck).toBe(true);
    tracker.reconnected();
    expect(tracker.isStuck).toBe(false);
  });

  test("is not stuck by frames that the service does not wait for or does not hold", () => {
    const tracker = new DeliveryTracker(5);
    tracker.take(frame(1));
    tracker.released(1n, false);
    tracker.released(2n, true);
    expect(tracker.isStuck).toBe(false);
  });

  test("is not stuck once the late commit is accepted", () => {
    const tracker = new DeliveryTracker(5);
    tracker.take(frame(1));
    tracker.released(1n, true);
    tracker.committed(1n);
    expect(tracker.isStuck).toBe(false);
  });
});

test("forgets a deleted queue, except for the frames of the new connection", () => {
  const tracker = new DeliveryTracker(5);
  tracker.take(frame(1, "a", "old"));
  tracker.take(frame(2, "b", "new"));
  tracker.take(frame(3, "c", "old"));
  tracker.take(frame(4, "d", "old"));
  tracker.take(frame(5, "e", "old"));
  tracker.committed(3n);
  tracker.released(4n, true);
  tracker.nacking(5n);
  tracker.forget("new");
  expect(tracker.room).toBe(4);
  expect(tracker.get(2n)?.requestId).toBe("b");
  expect(tracker.take(frame(3, "c"))).toBe("new");
  tracker.nackSettled(5n, "refused");
  expect(tracker.get(5n)).toBeUndefined();
  tracker.committed(2n);
  tracker.committed(3n);
  expect(tracker.isStuck).toBe(false);
});

describe("the identity of items", () => {
  test("an index below the range of times can be reused", () => {
    expect([isReusable(1n), isReusable(TIME_INDEX - 1n), isReusable(TIME_INDEX)]).toEqual([true, true, false]);
  });

  test("frames of one index are the same unless both have ids that differ", () => {
    expect(isSame("a", frame(1, "a"))).toBe(true);
    expect(isSame("a", frame(1, "b"))).toBe(false);
    expect(isSame(undefined, frame(1, "b"))).toBe(true);
    expect(isSame("a", frame(1))).toBe(true);
    expect(isSame("a", frame(TIME_INDEX, "b"))).toBe(true);
  });

  test("an item with damaged tags has no id", () => {
    expect(idOf(damaged(1n))).toBeUndefined();
    expect(idOf(frame(1, "a"))).toBe("a");
  });
});
