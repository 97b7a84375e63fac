// Fleets in which some instances are faulty, dead, or killed and restarted.
import { FAULTS } from "./faults.mjs";
import { both } from "./scripted.mjs";
import { startKilledInstance } from "./server-process.mjs";

const RANDOM = { timeout: 500, totalTimeout: 5_000 };
/** All faults except valid responses, and except those that last as long as the timeout, of which one is kept. */
const KINDS = Object.keys(FAULTS).filter(
  (name) => !["slow drip", "endless drip", "length too short", "stall in headers", "stall in body"].includes(name),
);
/** Minimum share of successful calls with default options. */
const PROMISED = 0.9999;

const promised = ({ calls, answered }) =>
  answered < PROMISED * calls && `${answered} of ${calls} calls succeeded: less than ${100 * PROMISED} %`;

export function fleets({ counts }) {
  const calls = counts.random;
  const isFaulty = (share) => ({ rate: share, faults: KINDS });
  const many = { calls: counts.many, concurrency: 64, kinds: ["predict"], expect: promised };
  return [
    ...[0.01, 0.1, 0.5].map((share) => ({
      name: `${100 * share} % of answers faulty`,
      calls,
      client: RANDOM,
      plans: Array(5).fill(isFaulty(share)),
    })),
    {
      name: "1 of 4 instances half faulty",
      calls,
      client: RANDOM,
      modes: ["direct"],
      plans: [{}, isFaulty(0.5)],
    },
    { name: "1 of 4 instances dead", modes: ["direct"], plans: [{}, { isDown: true }], ...many },
    {
      name: "10 % reset",
      plans: Array(5).fill({ rate: 0.1, faults: ["reset before headers", "reset in headers", "reset in body"] }),
      ...many,
    },
    {
      name: "1 of 4 instances down and up",
      calls,
      modes: ["direct"],
      plans: [{}, { flapEvery: 150 }, ...Array(3).fill({ latency: 20 })],
      client: RANDOM,
    },
    {
      name: "instance killed and restarted",
      calls,
      concurrency: 8,
      modes: ["direct"],
      kinds: ["predict"],
      // The log of a killed instance is lost.
      hasLog: false,
      plans: Array(5).fill({ latency: 20 }),
      async during({ server, items }) {
        const instance = await startKilledInstance(400, 100);
        await server.ask("discovery", {
          status: 200,
          items: [...items.slice(1), { ip: "127.0.0.1", port: instance.port }],
        });
        await new Promise((resolve) => setTimeout(resolve, (calls * 20) / 8));
        await server.ask("discovery", { status: 200, items });
        return `${await instance.end()} kills`;
      },
      client: { discovery: { interval: 50 } },
      expect: promised,
    },
  ].flatMap((scenario) => both(scenario));
}
