import { expect, test } from "vitest";
import { directClientOf, movableClock } from "../../support/direct.js";
import { startStreamServer } from "../../support/stream-server.js";

/** A client of two instances, one that answers all with a status. */
async function twoInstances(status: number) {
  const well = await startStreamServer(({ response }) => response.end("well"));
  const unwell = await startStreamServer(({ response }) => response.writeHead(status).end("unwell"));
  const endpointSource = () => [well, unwell].map(({ origin }) => ({ host: "127.0.0.1", port: +new URL(origin).port }));
  const client = directClientOf({ endpoint: "" }, { endpointSource, retryCount: 0 });
  /** How often each is asked by so many calls of `fetch`. */
  const shares = async (times: number) => {
    const before = [well.exchanges.length, unwell.exchanges.length] as const;
    for (let i = 0; i < times; i++) await (await client.fetch("/")).text();
    return [well.exchanges.length - before[0], unwell.exchanges.length - before[1]];
  };
  return { client, shares };
}

test("an instance that only ever says 503 to fetch leaves the rotation", async () => {
  // The clock stands: instances that were ejected are not asked again.
  movableClock();
  const { shares } = await twoInstances(503);
  expect(await shares(10)).toEqual([5, 5]);
  expect(await shares(10)).toEqual([10, 0]);
});

test("one that refuses what it is asked stays", async () => {
  const { shares } = await twoInstances(404);
  expect(await shares(20)).toEqual([10, 10]);
});
