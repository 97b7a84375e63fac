import { describe, expect, test } from "vitest";
import { randomFrom } from "../../../../src/cli/bench/arrivals.js";
import { erlangC, instancesFor, waitPercentile } from "../../../../src/cli/bench/capacity.js";
import { Histogram } from "../../../../src/cli/bench/histogram.js";

/** Simulates one queue with many servers, and returns the waiting times of the requests. */
function simulate(servers: number, rate: number, duration: (random: () => number) => number): Histogram {
  const random = randomFrom(7);
  const free = new Array<number>(servers).fill(0);
  const waits = new Histogram();
  let now = 0;
  for (let i = 0; i < 200_000; i++) {
    now += -Math.log(1 - random()) * (1_000 / rate);
    const next = free.indexOf(Math.min(...free));
    const start = Math.max(now, free[next] as number);
    waits.add(start - now);
    free[next] = start + duration(random);
  }
  return waits;
}

const exponential = (mean: number) => (random: () => number) => -Math.log(1 - random()) * mean;

describe("the number of instances", () => {
  test("Erlang C has the values of published tables", () => {
    expect(erlangC(1, 0.5)).toBeCloseTo(0.5, 10);
    expect(erlangC(2, 1)).toBeCloseTo(1 / 3, 10);
    expect(erlangC(10, 8)).toBeCloseTo(0.4092, 4);
  });

  test.each([
    [2, 30, 50],
    [8, 140, 50],
    [1, 8, 100],
  ])(
    "predicts the waits of a simulation with exponential durations: %d servers, %d per second",
    (servers, rate, mean) => {
      const simulated = simulate(servers, rate, exponential(mean)).percentile(99);
      const predicted = waitPercentile({ mean, variation: 1, rate }, servers, 0.99);
      expect(predicted / simulated).toBeGreaterThan(0.85);
      expect(predicted / simulated).toBeLessThan(1.15);
    },
  );

  test("overestimates the waits of constant durations by at most a third", () => {
    const simulated = simulate(4, 70, () => 50).percentile(99);
    const predicted = waitPercentile({ mean: 50, variation: 0, rate: 70 }, 4, 0.99);
    expect(predicted / simulated).toBeGreaterThan(0.9);
    expect(predicted / simulated).toBeLessThan(1.34);
  });

  test("is the smallest number that meets the target", () => {
    const question = { mean: 50, variation: 0.2, p99: 90, rate: 100, target: 150, perInstance: 1 };
    const capacity = instancesFor(question);
    expect(capacity?.instances).toBeGreaterThan(5);
    expect(capacity?.p99).toBeLessThanOrEqual(150);
    const fewer = (capacity?.instances as number) - 1;
    expect(90 + waitPercentile(question, fewer, 0.99)).toBeGreaterThan(150);
    expect(instancesFor({ ...question, perInstance: 4 })?.instances).toBeLessThan(capacity?.instances as number);
  });

  test("does not exist if the requests themselves take longer than the target", () => {
    expect(instancesFor({ mean: 50, variation: 0.2, p99: 200, rate: 1, target: 150, perInstance: 1 })).toBeUndefined();
  });
});
