/**
 * Number of consecutive failures after which an instance is ejected. The default in Envoy's outlier detection is the
 * same.
 */
const MAX_FAILURES = 5;
/**
 * Duration of the first ejection, in milliseconds. Doubles with each ejection that closely follows the previous one.
 */
const FIRST_EJECTION_MS = 1_000;
const MAX_EJECTION_MS = 60_000;

/** The ejection state of an instance. */
export class Health {
  /** Number of failed attempts since the last success. */
  failures = 0;
  /** Number of recent ejections, which determines the duration of the next ejection. */
  ejections = 0;
  /** Duration of the last ejection in milliseconds. */
  duration = 0;
  /** End time of the last ejection, from `clockNow()`. */
  until = 0;
  /** Whether a probe is in flight. */
  isProbed = false;
}

/**
 * Removes instances that fail repeatedly from the rotation, but never more than half of all instances. After an
 * ejection, one attempt probes the instance. A success readmits the instance, and a failure ejects it for twice as
 * long.
 */
export class Ejection<I extends Health> {
  readonly #ejected = new Set<I>();
  readonly #clockNow: () => number;
  readonly #onChange: (instance: I, isEjected: boolean) => void;
  #maxEjected = 0;
  /** Time of the next probe. Before that time, calls do not scan the ejected instances. */
  #nextProbe = Number.POSITIVE_INFINITY;

  /** `onChange` is called after `report` has ejected or readmitted an instance. `update` does not call it. */
  constructor(clockNow: () => number, onChange: (instance: I, isEjected: boolean) => void) {
    this.#clockNow = clockNow;
    this.#onChange = onChange;
  }

  /** Whether the instance is ejected. */
  has(instance: I): boolean {
    return this.#ejected.has(instance);
  }

  /** Sets the instances of the service. If more than half of them are ejected, readmits the excess. */
  update(instances: ReadonlySet<I>): void {
    for (const instance of this.#ejected) if (!instances.has(instance)) this.#ejected.delete(instance);
    this.#maxEjected = Math.floor(instances.size / 2);
    const bySoonest = [...this.#ejected].sort((a, b) => a.until - b.until);
    for (const instance of bySoonest.slice(0, Math.max(0, bySoonest.length - this.#maxEjected))) {
      this.#readmit(instance);
    }
    this.#schedule();
  }

  /**
   * Returns an instance whose ejection is over and that is not being probed, or undefined if there is none. The caller
   * must send one attempt to that instance and pass the outcome to `report`.
   */
  takeProbe(isWanted: (instance: I) => boolean): I | undefined {
    const now = this.#clockNow();
    if (now < this.#nextProbe) return undefined;
    for (const instance of this.#ejected) {
      if (instance.isProbed || instance.until > now || !isWanted(instance)) continue;
      instance.isProbed = true;
      this.#schedule();
      return instance;
    }
    return undefined;
  }

  /** Records the outcome of an attempt. `atFault` is undefined if the outcome says nothing about the instance. */
  report(instance: I, isProbe: boolean, atFault: boolean | undefined): void {
    if (this.#ejected.has(instance)) {
      // An attempt that is not a probe does not count because it started before the ejection.
      if (!isProbe) return;
      instance.isProbed = false;
      if (atFault) this.#eject(instance);
      else if (atFault === false) {
        this.#readmit(instance);
        this.#onChange(instance, false);
      }
      this.#schedule();
    } else if (atFault === false) instance.failures = 0;
    else if (atFault && ++instance.failures >= MAX_FAILURES && this.#ejected.size < this.#maxEjected) {
      this.#eject(instance);
      this.#schedule();
      this.#onChange(instance, true);
    }
  }

  #eject(instance: I): void {
    const now = this.#clockNow();
    // If an instance has worked for longer than its last ejection lasted, its next ejection is as short as its first.
    if (!this.#ejected.has(instance) && now - instance.until > instance.duration) instance.ejections = 0;
    instance.duration = Math.min(MAX_EJECTION_MS, FIRST_EJECTION_MS * 2 ** instance.ejections);
    instance.ejections++;
    instance.until = now + instance.duration;
    instance.isProbed = false;
    this.#ejected.add(instance);
  }

  #readmit(instance: I): void {
    this.#ejected.delete(instance);
    instance.failures = 0;
    instance.until = this.#clockNow();
  }

  #schedule(): void {
    this.#nextProbe = Number.POSITIVE_INFINITY;
    for (const { isProbed, until } of this.#ejected) {
      if (!isProbed) this.#nextProbe = Math.min(this.#nextProbe, until);
    }
  }
}
