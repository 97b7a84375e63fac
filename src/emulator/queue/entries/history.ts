/** A frame that was pushed. */
export interface EmulatorPush {
  readonly index: bigint;
  readonly uid: string;
  readonly gid: string;
  /** 1 for the first time in this group. */
  readonly delivery: number;
  /** The number of the connection that it went to. */
  readonly connection: number;
  readonly time: number;
}

/** A commit that found its item. */
export interface EmulatorCommit {
  readonly index: bigint;
  readonly uid: string;
  readonly gid: string;
  /** Whether the queue has committed by itself, for a watch with `_auto_commit_`. */
  readonly auto: boolean;
  readonly time: number;
}

/** A negative commit, whether or not it found its item. */
export interface EmulatorNegative {
  readonly index: bigint;
  readonly uid: string;
  readonly gid: string;
  readonly code: string;
  readonly reason: string;
  readonly time: number;
}

/** A watch that took the place of another one of the same user. */
export interface EmulatorTakeover {
  readonly uid: string;
  readonly gid: string;
  /** How often it has happened to this user. Two clients with one uid push each other out for ever. */
  readonly count: number;
  readonly time: number;
}

/** An item that was tried too often. */
export interface EmulatorDeadItem {
  readonly index: bigint;
  readonly gid: string;
  readonly became: "drop" | "rear";
  readonly time: number;
}

/** The latest entries of one kind. */
class Latest<Entry> {
  readonly entries: Entry[] = [];
  readonly #length: number;

  constructor(length: number) {
    this.#length = length;
  }

  add(entry: Entry): void {
    this.entries.push(entry);
    // Not one by one: a shift of a long array costs more than the push.
    if (this.entries.length > 2 * this.#length) this.entries.splice(0, this.entries.length - this.#length);
  }
}

/** What happened on one side of a queue since the emulator's last `reset`, for tests to look at. */
export class History {
  readonly pushes: Latest<EmulatorPush>;
  readonly commits: Latest<EmulatorCommit>;
  readonly negatives: Latest<EmulatorNegative>;
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
