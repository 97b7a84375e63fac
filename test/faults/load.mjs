// Clock changes, many calls at once, aborts, and unknown host names.
import { FAULTS } from "./faults.mjs";
import { runScenario } from "./scenario.mjs";
import { both } from "./scripted.mjs";

const STALLS = ["stall before headers", "stall in body"];

export function load({ counts }) {
  return [
    {
      name: "clock jumps by hours",
      calls: counts.scripted * 2,
      client: { timeout: 250, totalTimeout: 1_500, retryCount: 2 },
      plans: Array(5).fill({ latency: 20, rate: 0.3, faults: STALLS }),
      run: withJumpingClock,
      expect: ({ answered }) => answered === 0 && "nobody answered",
    },
    {
      name: `${counts.inFlight} in flight`,
      calls: counts.inFlight,
      concurrency: counts.inFlight,
      expect: ({ calls, answered }) => answered !== calls && `${answered} of ${calls} calls were answered`,
    },
    {
      name: `${counts.inFlight} in flight, out of time`,
      calls: counts.inFlight,
      concurrency: counts.inFlight,
      kinds: ["predict"],
      client: { timeout: 400, totalTimeout: 800 },
      // So many errors are created at once that it takes more than one turn of the event loop.
      allAtOnce: true,
      plans: Array(5).fill({ fault: "stall before headers" }),
    },
    {
      name: "abort at a random moment",
      calls: counts.random,
      concurrency: 64,
      abortAfter: 200,
      client: { timeout: 250 },
      plans: Array(5).fill({
        latency: 30,
        rate: 0.3,
        faults: Object.keys(FAULTS).filter((name) => name !== "length too short"),
      }),
      expect: (_, outcomes) => outcomes.every(({ abortedAt }) => abortedAt === undefined) && "nothing was aborted",
    },
    {
      name: "DNS failure",
      calls: counts.scripted,
      modes: ["gateway"],
      endpoint: "http://nobody.invalid",
      // The system's name lookups cannot be canceled. Those under way end by themselves.
      givenBackIn: 20_000,
      client: { timeout: 1_000, totalTimeout: 3_000, retryCount: 1 },
      expect: ({ answered }, _, errors) => [
        answered > 0 && "somebody answered",
        errors.some((code) => !["ERR_EAS_NETWORK", "ERR_EAS_TIMEOUT"].includes(code)) &&
          `failed with ${[...new Set(errors)]}`,
      ],
    },
  ].flatMap((scenario) => both(scenario));
}

/** The wall clock is moved forward and back repeatedly, as by NTP or by hand. Deadlines must not depend on it. */
async function withJumpingClock(server, options) {
  const { now } = Date;
  let ahead = 0;
  Date.now = () => now() + ahead;
  const timer = setInterval(() => {
    ahead = Math.round((options.random() - 0.5) * 48) * 3_600_000;
  }, 7);
  try {
    return await runScenario(server, { ...options, run: undefined });
  } finally {
    clearInterval(timer);
    Date.now = now;
  }
}
