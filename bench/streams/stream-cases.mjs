// What is read: how many streams at once, how they are sent, and by whom.

const SSE = ["undici + parser", "fetch + parser", "openai", "events() + json()", "client.openai()"];
const NDJSON = ["undici + split", "stream().json()"];

/** What each contender is compared with, where it is not the first one. */
export const CEILINGS = { "client.openai()": ["openai"], openai: ["openai"] };

/**
 * Of a round, each contender reads `inFlight` streams at once, `times` of them one after the other, of `count` values. `rate` is
 * the pace of each stream; others are as fast as they are taken. Together they have what a minute allows.
 */
export const CASES = [
  { name: "1 stream", inFlight: 1, times: 8, count: 256, rounds: 9 },
  { name: "64 streams", inFlight: 64, times: 1, count: 128, rounds: 9 },
  { name: "512 streams", inFlight: 512, times: 1, count: 48, rounds: 4 },
  { name: "64 streams, 32 events in a chunk", inFlight: 64, times: 2, count: 128, sending: "coalesced", rounds: 9 },
  { name: "64 streams, 50 events a second each", inFlight: 64, times: 1, count: 25, rate: 50, rounds: 3 },
  { name: "64 streams of JSON lines", inFlight: 64, times: 1, count: 128, format: "ndjson", rounds: 9 },
].map((one) => ({ ...one, names: one.format === "ndjson" ? NDJSON : SSE }));

export const LATENCY = { name: "first event, 1 stream", count: 8, times: 30, names: SSE, rounds: 7 };

/** Through a relay, and through a server that only pipes. */
export const RELAY_CASES = [
  { name: "relay, 1 stream", inFlight: 1, times: 8, count: 256, rounds: 7 },
  { name: "relay, 64 streams", inFlight: 64, times: 1, count: 128, rounds: 7 },
  { name: "relay, 512 streams", inFlight: 512, times: 1, count: 48, rounds: 3 },
  {
    name: "relay, 64 streams, 32 events in a chunk",
    inFlight: 64,
    times: 4,
    count: 128,
    sending: "coalesced",
    rounds: 7,
  },
];
