// The test modules that ship with the Python wheel, unchanged, against the emulator.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { startEmulator } from "eas-prediction/emulator";
import { PYTHON_TEST_FAULTS } from "./python-faults.mjs";
import { checksOf, runPython } from "./python-process.mjs";

/** Tokens in the test modules. */
const TOKENS = {
  scorecard_pmml_example: "YWFlMDYyZDNmNTc3M2I3MzMwYmY0MmYwM2Y2MTYxMTY4NzBkNzdjOQ==",
  mnist_saved_model_example: "YTg2ZjE0ZjM4ZmE3OTc0NzYxZDMyNmYzMTJjZTQ1YmU0N2FjMTAyMA==",
  echo_vipserver: "MDAwZDQ3NjE3OThhOTI4ODFmMjJiYzE0MDk1NWRkOGI1MmVhMGI0Yw==",
};
const QUEUE = "test_group.qservice";

/** A PMML model: an empty body has no rows. */
const score = ({ body }) => {
  const rows = body.length === 0 ? [] : JSON.parse(new TextDecoder().decode(body));
  return JSON.stringify(rows.map(() => ({ p_0: 0.25, p_1: 0.75 })));
};

/** Runs the modules. Returns a check per test, and checks of the requests that the emulator received. */
export async function pythonTestChecks(python) {
  const emulator = await startEmulator({
    // The module uses host names of real gateways, which resolve to the emulator.
    hosts: "*",
    services: {
      scorecard_pmml_example: { handle: score, token: TOKENS.scorecard_pmml_example },
      // The module ignores the response. An empty response is a message without outputs.
      mnist_saved_model_example: { handle: () => new Uint8Array(0), token: TOKENS.mnist_saved_model_example },
      echo_vipserver: { handle: score, token: TOKENS.echo_vipserver },
    },
    queues: { [QUEUE]: { token: "", service: score, maxLength: 10_000 } },
    logLength: 50_000,
  });
  const others = await startOthers(emulator);
  try {
    const hosts = {
      "pai-eas-vpc.cn-shanghai.aliyuncs.com:80": emulator.port,
      "1828488879222746.cn-shanghai.pai-eas.aliyuncs.com:80": emulator.port,
      "jmenv.tbsite.net:8080": others.port,
      "10.0.0.1:80": others.port,
    };
    const settled = `http://127.0.0.1:${others.port}/settled`;
    const lines = await runPython(python, "python_tests.py", { hosts, settled });
    const requests = [...emulator.requests];
    return { tests: checksOf(lines, PYTHON_TEST_FAULTS), received: receivedChecks(requests, lines) };
  } finally {
    await others.close();
    await emulator.close();
  }
}

/**
 * The part of VIPServer that the SDK uses: the list of its servers, and the hosts of a service. `/settled` responds
 * when no watch of the sink is left. The SDK closes a watch without waiting for the server, which could still push
 * an item to it. The next test would miss that item, because these watches commit automatically.
 */
async function startOthers(emulator) {
  const { port } = emulator;
  const server = createServer(async ({ url }, answer) => {
    if (url === "/settled") {
      const { sink } = emulator.queue(QUEUE);
      // A failed test leaves its watch open.
      for (let i = 0; i < 500 && sink.pending.size > 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
      answer.end();
      return;
    }
    const hosts = [{ valid: true, ip: "127.0.0.1", port, weight: 1 }];
    if (url === "/vipserver/serverlist") answer.end("10.0.0.1\n");
    else if (url.startsWith("/vipserver/api/srvIPXT?dom=")) answer.end(JSON.stringify({ hosts }));
    else answer.writeHead(404).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: server.address().port,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

function receivedChecks(requests, lines) {
  return [
    ["all tests were run", () => assert.equal(lines.at(-1)?.name, "done")],
    [
      "signs predictions, and calls queues without a token",
      () => {
        const forms = new Map();
        for (const { service, auth } of requests) forms.set(service, (forms.get(service) ?? new Set()).add(auth));
        for (const name of Object.keys(TOKENS))
          if (forms.has(name)) assert.deepEqual([...forms.get(name)], ["signature"]);
        assert.ok(forms.has("scorecard_pmml_example") && forms.has("mnist_saved_model_example"));
        assert.deepEqual([...forms.get(QUEUE)], ["none"]);
      },
    ],
  ];
}
