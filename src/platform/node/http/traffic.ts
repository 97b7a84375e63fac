/** Counts a transport's exchanges in progress. */
export class Traffic {
  private count = 0;
  private onIdle: (() => void) | undefined = undefined;

  begin(): void {
    this.count++;
  }

  end(): void {
    if (--this.count === 0) this.onIdle?.();
  }

  /** Resolves when no exchange is in progress. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.onIdle = resolve;
      if (this.count === 0) resolve();
    });
  }
}
