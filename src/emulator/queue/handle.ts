import type { EmulatorQueueItem } from "./consumers.js";
import type {
  EmulatorCommit,
  EmulatorDeadItem,
  EmulatorNegative,
  EmulatorPush,
  EmulatorTakeover,
} from "./entries/history.js";
import type { QueueSide } from "./queue-side.js";

/** A queue of an emulator, for tests to look at. */
export interface EmulatorQueue {
  readonly name: string;
  /** What clients put to `/api/predict/<name>`. */
  readonly input: EmulatorQueueSide;
  /** What is at `/api/predict/<name>/sink`. */
  readonly sink: EmulatorQueueSide;
  /** Resolves when the log, if there is one, has been read; requests wait for it by themselves. Rejects when it cannot be. */
  restore(): Promise<void>;
}

/** The input queue or the sink of a queue. The lists of what happened begin at the emulator's last `reset`. */
export interface EmulatorQueueSide {
  /** Items that are not committed by all who are to have them. */
  readonly length: number;
  /** By index. */
  readonly items: readonly EmulatorQueueItem[];
  /** Items pushed and not committed by `<gid>.<uid>`. */
  readonly pending: ReadonlyMap<string, readonly bigint[]>;
  readonly isEnded: boolean;
  readonly pushes: readonly EmulatorPush[];
  readonly commits: readonly EmulatorCommit[];
  readonly negatives: readonly EmulatorNegative[];
  readonly takeovers: readonly EmulatorTakeover[];
  readonly dead: readonly EmulatorDeadItem[];
  /** Where dead items go with `deadItems: "rear"`, and where callers with `X-EAS-QueueService-Access-Rear` are. */
  readonly rear: EmulatorQueueSide | undefined;
  /** Puts an item without a request, and returns its index. */
  put(data: string | Uint8Array, options?: { tags?: Record<string, string>; priority?: number }): bigint;
}

/** What tests may see of a side. */
export function viewOf(side: QueueSide): EmulatorQueueSide {
  const { store, history } = side;
  const rear = side.rear && viewOf(side.rear);
  return {
    get length() {
      return store.length;
    },
    get items() {
      return [...store.items()].map(({ index, tags, data, priority, path, contentType }) => {
        return { index, tags, data, priority, path, contentType };
      });
    },
    get pending() {
      const consumers = [...store.groups.values()].flatMap((group) => [...group.consumers.values()]);
      return new Map(consumers.map(({ request: { gid, uid }, pending }) => [`${gid}.${uid}`, [...pending.keys()]]));
    },
    get isEnded() {
      return store.isEnded;
    },
    pushes: history.pushes.entries,
    commits: history.commits.entries,
    negatives: history.negatives.entries,
    takeovers: history.takeovers.entries,
    dead: history.dead.entries,
    rear,
    put(data, { tags = {}, priority } = {}) {
      const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data.slice();
      return side.put({ data: bytes, tags: { ...tags, requestId: tags.requestId ?? crypto.randomUUID() }, priority })
        .index;
    },
  };
}
