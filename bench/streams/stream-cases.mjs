// The cases of streams: concurrency, how they are sent, and contenders.

const SSE = ["undici + parser", "fetch + parser", "openai", "events() + json()", "client.openai()"];
const NDJSON = ["undici + split", "stream().json()"];

/** The contender to compare with, if it is not the first one. */
export const CEILINGS = { "client.openai()": ["openai"], openai: ["openai"] };

/**
 * In a round, each contender reads `inFlight` streams concurrently, `times` in sequence, of `count` events. `rate`
 * is the rate of each stream; other streams are sent as fast as they are read. `budget` limits the rounds, in
 * milliseconds. All tables together take less than a minute.
 */
export const CASES = [
  { name: "1 stream", inFlight: 1, times: 8, count: 512, rounds: 9, budget: 5_000 },
  { name: "64 streams", inFlight: 64, times: 1, count: 256, rounds: 7, budget: 6_000 },
  { name: "512 streams", inFlight: 512, times: 1, count: 64, rounds: 3, budget: 8_000 },
  {
    name: "64 streams, 32 events in a chunk",
    inFlight: 64,
    times: 1,
    count: 256,
    sending: "coalesced",
    rounds: 9,
    budget: 4_000,
  },
  {
    name: "64 streams, 50 events a second each",
    inFlight: 64,
    times: 1,
    count: 25,
    rate: 50,
    rounds: 2,
    budget: 6_000,
  },
  { name: "64 streams of JSON lines", inFlight: 64, times: 1, count: 256, format: "ndjson", rounds: 7, budget: 3_000 },
].map((one) => ({ ...one, names: one.format === "ndjson" ? NDJSON : SSE }));

export const LATENCY = { name: "first event, 1 stream", count: 8, times: 30, names: SSE, rounds: 7, budget: 2_000 };

/** Streams through a relay, and through a server that only pipes. */
export const RELAY_CASES = [
  { name: "relay, 1 stream", inFlight: 1, times: 4, count: 1024, rounds: 7, budget: 2_500 },
  { name: "relay, 64 streams", inFlight: 64, times: 1, count: 512, rounds: 5, budget: 5_000 },
  { name: "relay, 512 streams", inFlight: 512, times: 1, count: 64, rounds: 2, budget: 5_000 },
  {
    name: "relay, 64 streams, 32 events in a chunk",
    inFlight: 64,
    times: 1,
    count: 1024,
    sending: "coalesced",
    rounds: 7,
    budget: 3_000,
  },
];
