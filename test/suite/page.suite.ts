import { PredictClient, QueueClient } from "eas-prediction";
import { openQueue, openService } from "./clients.js";
import { expect, expectError, rejection } from "./expect.js";
import { test } from "./harness.js";

test(
  "page",
  "a service that does not let the page call: the error names CORS, and nothing is tried again",
  async (test) => {
    const { service, counterpart } = await openService(test, "echo");
    const client = test.closing(
      new PredictClient({ endpoint: test.closedEndpoint, serviceName: service, token: test.token }),
    );
    const error = await rejection(client.predict("x"));
    expectError(error, { name: "EasNetworkError", attempts: 1 });
    expect(error.message).to.include("CORS");
    expect((await client.diagnose()).finding).to.equal("cors");
    // No request arrived: the response to the preflight did not allow it.
    expect((await counterpart.requests(service)).filter(({ method }) => method === "POST")).to.have.length(0);
  },
);

test("page", "ends a watch of such a queue with the same error", async (test) => {
  const { name } = await openQueue(test);
  const client = test.closing(
    new QueueClient({ endpoint: test.closedEndpoint, queueName: name, token: test.token, logger: null }),
  );
  const error = await rejection(client.watch(0, 1).next());
  expect(error.message).to.include("CORS");
});

test("page", "reports a redirect although pages cannot read it", async (test) => {
  const { client, service, counterpart } = await openService(test, "echo");
  await counterpart.fault({ service, status: 302, headers: { location: `${test.control}/stolen` } });
  expectError(await rejection(client.predict("x")), { name: "EasHttpError", status: 302 });
});
