import { Agent as HttpAgent } from "node:http";
import { Agent, fetch as npmFetch, ProxyAgent } from "undici";
import { describe, expect, test } from "vitest";
import { AsyncInferenceClient, fetchTransport, PredictClient, QueueClient } from "../../../src/index.js";
import { nodeTransport } from "../../../src/node.js";
import { RecordingTransport, startServer, thrownBy } from "../../support/calls.js";

// Values of similar types in the wrong option. The constructor refuses them and names the right option.

const clients = [PredictClient, QueueClient, AsyncInferenceClient] as const;
type AnyOptions = ConstructorParameters<typeof AsyncInferenceClient>[0];

/** The error of each client with these options, before any connection. */
async function refusals(options: Record<string, unknown>, of: readonly (typeof clients)[number][] = clients) {
  const server = await startServer();
  const errors = of.map((Client) => {
    const name = Client === QueueClient ? { queueName: "q" } : { serviceName: "svc" };
    const base = { endpoint: server.origin, ...name };
    return thrownBy(() => new (Client as new (options: AnyOptions) => unknown)({ ...base, ...options } as AnyOptions));
  });
  expect(server.connections).toBe(0);
  return errors;
}

const INSTEAD = "pass transport: nodeTransport({ connections, proxy, ca, … }) from eas-prediction/node";

class OwnTransport extends RecordingTransport {}

const misplaced: [name: string, value: unknown, shown: string][] = [
  ["undici's Agent", new Agent(), "an instance of Agent"],
  ["undici's ProxyAgent", new ProxyAgent("http://127.0.0.1:9"), "an instance of ProxyAgent"],
  ["node:http's Agent", new HttpAgent(), "an instance of Agent"],
  ["a client", new PredictClient({ endpoint: "h" }), "an instance of PredictClient"],
  ["null", null, "null"],
  ["false", false, "false"],
  ["0", 0, "0"],
  ["empty text", "", '""'],
  ["a URL", new URL("http://user:secret@proxy"), "an instance of URL"],
];

describe.each(["transport", "fetch"])("instead of %s", (option) => {
  test.each(misplaced)("%s", async (_name, value, shown) => {
    for (const error of await refusals({ [option]: value })) {
      expect(error).toBeInstanceOf(TypeError);
      expect(error.code).toBe("ERR_EAS_ARG_OPTION");
      expect(error.message).toContain(`${option} is ${shown}: it must be`);
      expect(error.message).toContain(INSTEAD);
      expect(error.message).not.toContain("secret");
    }
  });
});

test.each([
  ["a class", OwnTransport, "OwnTransport"],
  ["undici's class", Agent, "Agent"],
  ["what makes one", nodeTransport, "nodeTransport"],
  ["a fetch", npmFetch, "fetch"],
])("instead of transport: %s", async (_name, value, shown) => {
  for (const error of await refusals({ transport: value })) {
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_OPTION" });
    expect(error.message).toContain(`transport is the function ${shown}: it must be an object with send()`);
    // Not the source text of the function.
    expect(error.message.length).toBeLessThan(300);
  }
});

test("a transport instead of fetch", async () => {
  for (const fetch of [nodeTransport(), fetchTransport()]) {
    for (const error of await refusals({ fetch })) {
      expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_OPTION" });
      expect(error.message).toContain("fetch is a plain object: it must be a function");
    }
  }
});

test("refuses transport and fetch together", async () => {
  for (const error of await refusals({ transport: new RecordingTransport(), fetch })) {
    expect(error).toMatchObject({
      name: "TypeError",
      code: "ERR_EAS_ARG_OPTION",
      message: expect.stringMatching(/leave one of them out/),
    });
  }
});

test("accepts the fetch of the package undici", async () => {
  const server = await startServer();
  const client = new PredictClient({ endpoint: server.origin, serviceName: "s", fetch: npmFetch as never });
  expect(String(await client.predict("x"))).toBe("ok");
});

test.each([
  ["null", null, "null"],
  ["a URL", "ws://h", '"ws://h"'],
  ["an object", {}, "a plain object"],
])("instead of dialWebSocket: %s", async (_name, dialWebSocket, shown) => {
  const [error] = await refusals({ dialWebSocket }, [QueueClient]);
  expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_OPTION" });
  expect(error?.message).toBe(`dialWebSocket is ${shown}: it must be a function`);
});

describe("instead of an endpoint", () => {
  const values: [name: string, value: unknown, shown: string][] = [
    ["a URL", new URL("http://secret.host"), "an instance of URL"],
    ["a request", new Request("http://secret.host"), "an instance of Request"],
    ["a number", 8080, "8080"],
  ];

  test.each(values)("%s as the option", async (_name, value, shown) => {
    for (const option of ["endpoint", "customUrl"]) {
      for (const error of await refusals({ [option]: value }, [PredictClient, QueueClient])) {
        expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_ENDPOINT" });
        expect(error.message).toBe(`${option} is ${shown}: it must be a string`);
      }
    }
    expect(thrownBy(() => new PredictClient().setEndpoint(value as string)).code).toBe("ERR_EAS_ARG_ENDPOINT");
  });

  test.each(values)("%s as the first argument", (_name, value, shown) => {
    for (const Client of [PredictClient, QueueClient]) {
      const error = thrownBy(() => new Client(value as string, "name"));
      expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_OPTION" });
      expect(error.message).toBe(`${Client.name} accepts an options object or an endpoint string, not ${shown}`);
    }
  });
});
