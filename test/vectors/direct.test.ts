import { expect, onTestFinished, test, vi } from "vitest";
import { WeightedRoundRobin } from "../../src/endpoint/weighted-round-robin.js";
import { ENDPOINT_TYPE_DIRECT, PredictClient, QueueClient, type TransportRequest } from "../../src/index.js";
import { RecordingTransport, transportAnswer } from "../support/calls.js";
import { DISCOVERY, type DiscoveryVector, fromHex, provingHeaders, TURNS, toHex, vectorNamed } from "./replay.js";

// Direct connections of the official Python SDK: its discovery requests, its requests to instances, and its load balancing.

test.each(TURNS)("$name: selects instances in the same order", ({ weights, sequence }) => {
  const turns = new WeightedRoundRobin(weights.map(([, weight]) => weight));
  const taken = sequence.map(() => {
    const at = turns.next();
    return at === undefined ? null : weights[at]?.[0];
  });
  expect(taken).toEqual(sequence);
});

test.each(TURNS.filter(({ weights }) => weights.length > 0))(
  "$name: a client calls instances in the same order",
  async ({ weights, sequence }) => {
    const transport = new RecordingTransport();
    const client = new PredictClient({
      serviceName: "svc",
      endpointType: ENDPOINT_TYPE_DIRECT,
      endpointSource: () => weights.map(([host, weight]) => ({ host, port: 8080, weight })),
      transport,
    });
    const endpoints: string[] = [];
    for (const _ of sequence) endpoints.push((await client.predictDetailed("x")).endpoint);
    expect(endpoints).toEqual(sequence.map((name) => `http://${name}:8080`));
    expect(transport.requests).toHaveLength(sequence.length);
  },
);

/** Returns this SDK's discovery request and the address of its call. */
async function ask(call: DiscoveryVector["call"], Client: typeof PredictClient | typeof QueueClient) {
  const { endpoint, service, env = {} } = call;
  for (const name of ["NAMESPACE", "POD_NAME"]) vi.stubEnv(name, env[name]);
  onTestFinished(() => void vi.unstubAllEnvs());
  const items = [{ ip: "127.0.0.1", port: 18080, weight: 100 }];
  const transport = new RecordingTransport(() => transportAnswer(200, {}, JSON.stringify({ endpoints: { items } })));
  const client = new Client({
    endpoint,
    [Client === QueueClient ? "queueName" : "serviceName"]: service,
    token: "test-token",
    endpointType: ENDPOINT_TYPE_DIRECT,
    discovery: { path: "service-discovery" },
    transport,
  } as ConstructorParameters<typeof PredictClient>[0] & object);
  await client.init();
  return { transport, client };
}

const ASKED = DISCOVERY.filter(({ call }) => call.endpoint !== undefined);

test.each(ASKED.flatMap((vector) => [PredictClient, QueueClient].map((Client) => ({ ...vector, Client }))))(
  "$name: $Client.name sends the same discovery request, without the token",
  async ({ call, method, url, endpointGet, Client }) => {
    const { transport, client } = await ask(call, Client);
    const [{ origin, path, headers, ...request }] = transport.requests as [TransportRequest];
    expect({ method: request.method, url: path, origin }).toEqual({ method, url, origin: call.endpoint });
    expect(JSON.stringify(headers)).not.toContain("test-token");
    expect(transport.requests).toHaveLength(1);
    if (client instanceof PredictClient) {
      const { endpoint } = await client.predictDetailed("x");
      expect(endpoint).toBe(`http://${endpointGet}`);
      expect(transport.requests[1]?.path).toBe(`/api/predict/${call.service}`);
    }
  },
);

test("discovery/direct-predict: an instance receives the same request and signature as a gateway", async () => {
  const vector = vectorNamed<DiscoveryVector>("discovery/direct-predict");
  const { client: record } = vector.call;
  vi.useFakeTimers({ now: new Date(`${record?.clock}Z`), toFake: ["Date"] });
  onTestFinished(() => void vi.useRealTimers());
  const transport = new RecordingTransport();
  const client = new PredictClient({
    serviceName: record?.service,
    token: record?.token,
    endpointType: ENDPOINT_TYPE_DIRECT,
    endpointSource: () => [{ host: "127.0.0.1", port: 18080 }],
    transport,
  });
  await client.predict(fromHex(vector.bodyHex));
  const [{ origin, method, path, headers, body }] = transport.requests as [TransportRequest];
  expect(provingHeaders(headers)).toEqual(provingHeaders(vector.headers));
  expect({ method, path, body: toHex(body as Uint8Array) }).toEqual({
    method: vector.method,
    path: vector.url,
    body: vector.bodyHex,
  });
  expect(origin).toBe("http://127.0.0.1:18080");
});
