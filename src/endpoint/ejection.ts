/** Attempts that fail in a row until an instance leaves the rotation; as many as Envoy's outlier detection wants. */
const FAILURES = 5;
/** For how long it leaves at first; each time without a good while between is twice as long. */
const FIRST_MS = 1_000;
const MAX_MS = 60_000;

/** What ejection knows of an instance. */
export class Health {
  /** Attempts that failed since the last that did not. */
  failures = 0;
  /** How often it was ejected lately. */
  ejections = 0;
  /** For how long, the last time. */
  duration = 0;
  /** When the ejection ends, by `performance.now()`, or ended. */
  until = 0;
}

/**
 * Takes instances out of the rotation that fail again and again, never more than half of them. When its time is over, one
 * attempt is made: what comes of it brings the instance back, or keeps it out for twice the time.
 */
export class Ejection<I extends Health> {
  readonly #ejected = new Set<I>();
  /**
   * Those of them that no attempt is under way to, by how long they are out: of each kind the first is the first whose time is
   * over, so that nobody has to look at all of them.
   */
  readonly #waiting = new Map<number, Set<I>>();
  readonly #clockNow: () => number;
  readonly #onChange: (instance: I, isOut: boolean) => void;
  #most = 0;
  /** Before that no probe is due. */
  #nextProbe = Number.POSITIVE_INFINITY;

  /** `onChange` is called when an instance has left the rotation, or come back, but for what `update` does. */
  constructor(clockNow: () => number, onChange: (instance: I, isOut: boolean) => void) {
    this.#clockNow = clockNow;
    this.#onChange = onChange;
  }

  has(instance: I): boolean {
    return this.#ejected.has(instance);
  }

  /** These are all the instances from now on. */
  update(instances: ReadonlySet<I>): void {
    for (const instance of this.#ejected) if (!instances.has(instance)) this.#forget(instance);
    this.#most = Math.floor(instances.size / 2);
    // There may be fewer now, of whom too many are out.
    const bySoonest = [...this.#ejected].sort((a, b) => a.until - b.until);
    for (const instance of bySoonest.slice(0, Math.max(0, bySoonest.length - this.#most))) this.#readmit(instance);
    this.#schedule();
  }

  /** An instance whose time is over, for one attempt; whoever takes it tells the attempt's end. */
  takeProbe(isWanted: (instance: I) => boolean): I | undefined {
    const now = this.#clockNow();
    if (now < this.#nextProbe) return undefined;
    for (const waiting of this.#waiting.values()) {
      for (const instance of waiting) {
        if (instance.until > now) break;
        if (!isWanted(instance)) continue;
        waiting.delete(instance);
        this.#schedule();
        return instance;
      }
    }
    return undefined;
  }

  /** An attempt ended; `atFault` is undefined when it tells nothing of the instance. */
  report(instance: I, isProbe: boolean, atFault: boolean | undefined): void {
    if (this.#ejected.has(instance)) {
      // Of what was under way before it was ejected nothing more is learnt.
      if (!isProbe) return;
      if (atFault) this.#eject(instance);
      else if (atFault === false) {
        this.#readmit(instance);
        this.#onChange(instance, false);
      } else this.#wait(instance, 0);
      this.#schedule();
    } else if (atFault === false) instance.failures = 0;
    else if (atFault && ++instance.failures >= FAILURES && this.#ejected.size < this.#most) {
      this.#eject(instance);
      this.#schedule();
      this.#onChange(instance, true);
    }
  }

  #eject(instance: I): void {
    const now = this.#clockNow();
    // It was well for longer than it was out: what was before counts no more.
    if (!this.#ejected.has(instance) && now - instance.until > instance.duration) instance.ejections = 0;
    instance.duration = Math.min(MAX_MS, FIRST_MS * 2 ** instance.ejections);
    instance.ejections++;
    instance.until = now + instance.duration;
    this.#ejected.add(instance);
    this.#wait(instance, instance.duration);
  }

  #wait(instance: I, duration: number): void {
    const waiting = this.#waiting.get(duration) ?? new Set();
    this.#waiting.set(duration, waiting.add(instance));
  }

  #forget(instance: I): void {
    this.#ejected.delete(instance);
    for (const waiting of this.#waiting.values()) waiting.delete(instance);
  }

  #readmit(instance: I): void {
    this.#forget(instance);
    instance.failures = 0;
    instance.until = this.#clockNow();
  }

  #schedule(): void {
    this.#nextProbe = Number.POSITIVE_INFINITY;
    for (const waiting of this.#waiting.values()) {
      for (const { until } of waiting) {
        this.#nextProbe = Math.min(this.#nextProbe, until);
        break;
      }
    }
  }
}
