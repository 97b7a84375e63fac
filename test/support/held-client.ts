import type { PredictClient, PredictRequest, StringRequest, StringResponse } from "../../src/index.js";

/** A client whose calls the test settles in an order of its choice. */
export class HeldClient {
  readonly calls: { input: unknown; size: number; signal: AbortSignal; end(): void; fail(error: unknown): void }[] = [];
  most = 0;
  open = 0;
  readonly predict: PredictClient["predict"] = (input: unknown, call?: { signal?: AbortSignal | undefined }) =>
    new Promise<never>((resolve, reject) => {
      this.most = Math.max(this.most, ++this.open);
      const signal = call?.signal as AbortSignal;
      const settle = (act: () => void) => {
        this.open--;
        act();
      };
      const body =
        input instanceof Uint8Array
          ? (input as Uint8Array<ArrayBuffer>)
          : (input as PredictRequest<unknown>).toBinary();
      const value = (input instanceof Uint8Array ? input : (input as StringRequest).parseResponse(body)) as never;
      this.calls.push({
        input,
        size: body.length,
        signal,
        end: () => settle(() => resolve(value)),
        fail: (error) => settle(() => reject(error)),
      });
      signal.addEventListener("abort", () => settle(() => reject(signal.reason)));
    });
}

/** Resolves after all pending microtasks and timers of 0 ms. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

export const texts = (answers: readonly StringResponse[]) => answers.map(String);
export const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i}`);

/** An iterable that records how many requests were read and whether it was closed. */
export function counted<T>(values: readonly T[]) {
  const seen = { asked: 0, closed: 0 };
  return {
    seen,
    *[Symbol.iterator]() {
      try {
        for (const value of values) {
          seen.asked++;
          yield value;
        }
      } finally {
        seen.closed++;
      }
    },
  };
}
