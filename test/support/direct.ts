import { onTestFinished, vi } from "vitest";
import { type EmulatorOptions, type RunningEmulator, startEmulator } from "../../src/emulator/index.js";
import {
  ENDPOINT_TYPE_DIRECT,
  type EndpointSource,
  PredictClient,
  type PredictClientOptions,
  type ServiceInstance,
} from "../../src/index.js";
import { TOKEN } from "./calls.js";

/** Starts an emulator with instances that is closed when the test ends. */
export async function startInstances(
  instances: EmulatorOptions["instances"],
  options: EmulatorOptions = {},
): Promise<RunningEmulator> {
  const emulator = await startEmulator({ token: TOKEN, instances, ...options });
  onTestFinished(() => emulator.close());
  return emulator;
}

/** Creates a client that calls the instances of the service "echo" directly. It is closed when the test ends. */
export function directClientOf(
  { endpoint }: { readonly endpoint: string },
  options: PredictClientOptions = {},
): PredictClient {
  const client = new PredictClient({
    endpoint,
    serviceName: "echo",
    token: TOKEN,
    endpointType: ENDPOINT_TYPE_DIRECT,
    ...options,
  });
  onTestFinished(() => void client.close());
  return client;
}

/** Returns the paths of the requests to discovery. */
export function discoveryCalls({ requests }: Pick<RunningEmulator, "requests">): string[] {
  return requests.filter(({ url }) => url.includes("/upstreams/")).map(({ url }) => url);
}

/** A clock that can be moved forward. */
export function movableClock(): { move(milliseconds: number): void } {
  const { now } = performance;
  let ahead = 0;
  const spy = vi.spyOn(performance, "now").mockImplementation(() => now.call(performance) + ahead);
  onTestFinished(() => spy.mockRestore());
  return {
    move(milliseconds) {
      ahead += milliseconds;
    },
  };
}

/** A discovery source whose responses the test controls. */
export function askedSource() {
  const asked: {
    readonly serviceName: string;
    readonly signal: AbortSignal;
    answer(list: unknown): void;
    fail(error: unknown): void;
  }[] = [];
  const source: EndpointSource = (query) =>
    new Promise((resolve, reject) => {
      asked.push({ ...query, answer: (list) => resolve(list as ServiceInstance[]), fail: reject });
    });
  return { source, asked };
}
