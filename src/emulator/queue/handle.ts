import type { EmulatorQueueItem } from "./consumers.js";
import type {
  EmulatorCommit,
  EmulatorDeadItem,
  EmulatorNegativeCommit,
  EmulatorPush,
  EmulatorTakeover,
} from "./entries/history.js";
import type { QueueSide } from "./queue-side.js";

/** An emulated queue, including its state for assertions in tests. */
export interface EmulatorQueue {
  /** Name of the queue. */
  readonly name: string;
  /** The input queue, at `/api/predict/<name>`. */
  readonly input: EmulatorQueueSide;
  /** The sink, at `/api/predict/<name>/sink`. */
  readonly sink: EmulatorQueueSide;
  /** Resolves when the queue's log has been loaded; requests wait for this. Rejects if the log cannot be loaded. */
  restore(): Promise<void>;
}

/** The input queue or the sink of a queue. The history starts at the emulator's last `reset`. */
export interface EmulatorQueueSide {
  /** Number of items that have not been committed by all groups that must receive them. */
  readonly length: number;
  /**
   * Whether the side has its maximum number of items and refuses puts. While the sink is full, the service accepts no more
   * items from the input queue.
   */
  readonly isFull: boolean;
  /** The items, by ascending index. */
  readonly items: readonly EmulatorQueueItem[];
  /** Indexes of the items that were delivered to `<gid>.<uid>` and have not been committed. */
  readonly pending: ReadonlyMap<string, readonly bigint[]>;
  /** Whether the queue has ended and no longer accepts items. */
  readonly isEnded: boolean;
  /** Deliveries to consumers. */
  readonly pushes: readonly EmulatorPush[];
  /** Commits of items. */
  readonly commits: readonly EmulatorCommit[];
  /** Negative commits. */
  readonly negatives: readonly EmulatorNegativeCommit[];
  /** Watches that were replaced by another watch of the same user. */
  readonly takeovers: readonly EmulatorTakeover[];
  /** Items that exceeded the maximum number of deliveries. */
  readonly dead: readonly EmulatorDeadItem[];
  /**
   * The dead-letter queue, which callers reach with the `X-EAS-QueueService-Access-Rear` header. Undefined for the
   * dead-letter queue itself.
   */
  readonly deadLetters: EmulatorQueueSide | undefined;
  /**
   * Returns how often an item was delivered, and how many negative commits it had, according to the history. Items that no
   * longer exist are counted too. `gid` limits the counts to one group.
   */
  attempts(index: bigint, gid?: string): { readonly deliveries: number; readonly negatives: number };
  /** Adds an item without a request and returns its index. Bytes are copied. */
  put(data: string | Uint8Array, options?: { tags?: Record<string, string>; priority?: number }): bigint;
}

/** Creates the public view of one side. */
export function createView(side: QueueSide): EmulatorQueueSide {
  const { store, history } = side;
  const deadLetters = side.deadLetters && createView(side.deadLetters);
  return {
    get length() {
      return store.length;
    },
    get isFull() {
      return side.isFull;
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
    deadLetters,
    attempts(index, gid) {
      const count = (events: readonly { readonly index: bigint; readonly gid: string }[]) =>
        events.filter((event) => event.index === index && (gid === undefined || event.gid === gid)).length;
      return { deliveries: count(history.pushes.entries), negatives: count(history.negatives.entries) };
    },
    put(data, { tags = {}, priority } = {}) {
      const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data.slice();
      return side.put({ data: bytes, tags: { ...tags, requestId: tags.requestId ?? crypto.randomUUID() }, priority })
        .index;
    },
  };
}
