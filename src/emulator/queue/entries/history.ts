/** A delivery of an item to a consumer. */
export interface EmulatorPush {
  /** Index of the item. */
  readonly index: bigint;
  /** User name of the consumer. */
  readonly uid: string;
  /** Group of the consumer. */
  readonly gid: string;
  /** Number of deliveries of the item in this group, starting at 1. */
  readonly delivery: number;
  /** Number of the consumer's connection. */
  readonly connection: number;
  /** Time of the event, in milliseconds. */
  readonly time: number;
}

/** A commit of an existing item. */
export interface EmulatorCommit {
  /** Index of the item. */
  readonly index: bigint;
  /** User name of the consumer. */
  readonly uid: string;
  /** Group of the consumer. */
  readonly gid: string;
  /** Whether the queue committed the item itself, for a watch with `_auto_commit_`. */
  readonly auto: boolean;
  /** Time of the event, in milliseconds. */
  readonly time: number;
}

/** A negative commit, even if its item does not exist. */
export interface EmulatorNegativeCommit {
  /** Index of the item. */
  readonly index: bigint;
  /** User name of the consumer. */
  readonly uid: string;
  /** Group of the consumer. */
  readonly gid: string;
  /** The request's `_code_`; `""` if there is none. */
  readonly code: string;
  /** The request's `_reason_`; `""` if there is none. */
  readonly reason: string;
  /** Time of the event, in milliseconds. */
  readonly time: number;
}

/** A watch that replaced another watch of the same user. */
export interface EmulatorTakeover {
  /** User name of the consumer. */
  readonly uid: string;
  /** Group of the consumer. */
  readonly gid: string;
  /**
   * Number of this user's takeovers so far. A large number means that two clients use the same uid and keep replacing
   * each other.
   */
  readonly count: number;
  /** Time of the event, in milliseconds. */
  readonly time: number;
}

/** An item that reached the maximum number of attempts. */
export interface EmulatorDeadItem {
  /** Index of the item. */
  readonly index: bigint;
  /** Group of the consumer. */
  readonly gid: string;
  /** Whether the item was dropped or moved to the dead-letter queue. */
  readonly action: "drop" | "dead-letter";
  /** Time of the event, in milliseconds. */
  readonly time: number;
}

/** Keeps the latest entries. */
class Latest<Entry> {
  readonly entries: Entry[] = [];
  readonly #length: number;

  constructor(length: number) {
    this.#length = length;
  }

  add(entry: Entry): void {
    this.entries.push(entry);
    // Remove entries in bulk, because shifting a long array for every new entry takes longer than adding the entry.
    if (this.entries.length > 2 * this.#length) this.entries.splice(0, this.entries.length - this.#length);
  }
}

/** Events on one side of a queue since the emulator's last `reset`. */
export class History {
  readonly pushes: Latest<EmulatorPush>;
  readonly commits: Latest<EmulatorCommit>;
  readonly negatives: Latest<EmulatorNegativeCommit>;
  readonly takeovers: Latest<EmulatorTakeover>;
  readonly dead: Latest<EmulatorDeadItem>;

  constructor(length: number) {
    this.pushes = new Latest(length);
    this.commits = new Latest(length);
    this.negatives = new Latest(length);
    this.takeovers = new Latest(length);
    this.dead = new Latest(length);
  }

  clear(): void {
    for (const { entries } of [this.pushes, this.commits, this.negatives, this.takeovers, this.dead]) {
      entries.length = 0;
    }
  }
}
