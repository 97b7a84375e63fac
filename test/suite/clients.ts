import { PredictClient, type PredictClientOptions, QueueClient, type QueueClientOptions } from "eas-prediction";
import { Counterpart } from "./counterpart.js";
import type { TestContext } from "./harness.js";

/** A client for a service of one of the counterpart's kinds that no other test uses. */
export async function openService(test: TestContext, kind: string, options: PredictClientOptions = {}) {
  const counterpart = new Counterpart(test);
  const service = await counterpart.service(kind);
  const client = test.closing(
    new PredictClient({ endpoint: test.endpoint, serviceName: service, token: test.token, ...options }),
  );
  return { client, service, counterpart, requests: () => counterpart.requests(service) };
}

/** A client for one of the emulator's demo services. */
export function demoClient(test: TestContext, serviceName: string, options: PredictClientOptions = {}): PredictClient {
  return test.closing(new PredictClient({ endpoint: test.endpoint, serviceName, token: test.token, ...options }));
}

/** A queue that no other test uses, with the requested number of clients. */
export async function openQueue(
  test: TestContext,
  settings: Readonly<Record<string, unknown>> = {},
  options: QueueClientOptions = {},
) {
  const counterpart = new Counterpart(test);
  const name = await counterpart.addQueue(settings);
  const open = (more: QueueClientOptions = {}) =>
    test.closing(
      new QueueClient({
        endpoint: test.endpoint,
        queueName: name,
        token: test.token,
        logger: null,
        ...options,
        ...more,
      }),
    );
  return { name, counterpart, open, client: open(), seen: () => counterpart.queue(name) };
}
