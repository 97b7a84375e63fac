// Discovery that does not respond, or returns wrong lists.
import { both } from "./scripted.mjs";

const QUICK = { timeout: 300, totalTimeout: 3_000, discovery: { timeout: 400, interval: 50 } };
/** Timeout of calls that must succeed, also on a busy machine. */
const PATIENT = { timeout: 10_000, totalTimeout: 30_000, discovery: { timeout: 1_000, interval: 50 } };
const DEAD = { ip: "127.0.0.1", port: 1, weight: 100 };
/** Loopback addresses without a server. */
const FOREIGN = [2, 3].map((last) => ({ ip: `127.0.0.${last}`, port: 1, weight: 100 }));

const nobody =
  (codes) =>
  ({ answered }, _, errors) => [
    answered > 0 && "somebody answered",
    errors.some((code) => !codes.includes(code)) && `failed with ${[...new Set(errors)]}, not with ${codes}`,
  ];
const everybody = ({ calls, answered }) => answered !== calls && `${answered} of ${calls} calls were answered`;

/** Resolves when an instance has received a call, which shows that the client has a list. */
async function firstCall(server) {
  while ((await server.ask("report")).received.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
}

export function discoveries({ counts }) {
  const calls = counts.scripted;
  const down = [
    ["answers 500", { status: 500, items: [] }],
    ["is silent", { isSilent: true }],
    ["resets", { isBroken: true }],
    ["answers no JSON", { status: 200, text: "<html>" }],
    ["knows nobody", { status: 200, items: [] }],
  ];
  return [
    ...down.map(([name, discovery]) => ({
      name: `discovery ${name} at first`,
      discovery,
      firstList: 1_000,
      expect: nobody(["ERR_EAS_DISCOVERY"]),
    })),
    ...down.map(([name, discovery]) => ({
      name: `discovery ${name} later`,
      calls: calls * 5,
      plans: Array(5).fill({ latency: 20 }),
      client: PATIENT,
      firstList: 1_000,
      async during({ server }) {
        await firstCall(server);
        await server.ask("discovery", discovery);
      },
      expect: everybody,
    })),
    {
      name: "discovery returns only dead instances",
      discovery: { status: 200, items: [DEAD, ...FOREIGN] },
      firstList: 1_000,
      expect: nobody(["ERR_EAS_NETWORK", "ERR_EAS_TIMEOUT"]),
    },
    {
      name: "discovery begins to return wrong lists",
      calls: calls * 10,
      plans: Array(5).fill({ latency: 20 }),
      client: PATIENT,
      firstList: 1_000,
      async during({ server, items }) {
        await firstCall(server);
        await server.ask("discovery", { status: 200, items: [...items, DEAD, ...FOREIGN] });
      },
      expect: everybody,
    },
  ].flatMap((scenario) => both({ calls, client: QUICK, modes: ["direct"], ...scenario }));
}
