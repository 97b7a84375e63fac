// Discovery that does not answer, or does not tell the truth.
import { both } from "./scripted.mjs";

const QUICK = { timeout: 300, totalTimeout: 3_000, discovery: { timeout: 400, interval: 50 } };
const DEAD = { ip: "127.0.0.1", port: 1, weight: 100 };
/** Loopback addresses at which nobody listens. */
const FOREIGN = [2, 3].map((last) => ({ ip: `127.0.0.${last}`, port: 1, weight: 100 }));

const nobody =
  (codes) =>
  ({ answered }, _, errors) => [
    answered > 0 && "somebody answered",
    errors.some((code) => !codes.includes(code)) && `failed with ${[...new Set(errors)]}, not with ${codes}`,
  ];
const everybody = ({ calls, answered }) => answered !== calls && `${answered} of ${calls} calls were answered`;

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
      firstList: 1_000,
      async during({ server }) {
        await new Promise((resolve) => setTimeout(resolve, 40));
        await server.ask("discovery", discovery);
      },
      expect: everybody,
    })),
    {
      name: "discovery names only dead ones",
      discovery: { status: 200, items: [DEAD, ...FOREIGN] },
      firstList: 1_000,
      expect: nobody(["ERR_EAS_NETWORK", "ERR_EAS_TIMEOUT"]),
    },
    {
      name: "discovery begins to lie",
      calls: calls * 10,
      plans: Array(5).fill({ latency: 20 }),
      firstList: 1_000,
      async during({ server, items }) {
        await new Promise((resolve) => setTimeout(resolve, 40));
        await server.ask("discovery", { status: 200, items: [...items, DEAD, ...FOREIGN] });
      },
      expect: everybody,
    },
  ].flatMap((scenario) => both({ calls, client: QUICK, modes: ["direct"], ...scenario }));
}
