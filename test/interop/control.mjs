// Runs Alibaba's own client of the EAS API, unchanged, against the control plane of the emulator, which verifies the
// signature of each request. Then finds the same services with this package.
import assert from "node:assert/strict";
import { findService, listServices } from "eas-prediction/control";
import { startEmulator } from "eas-prediction/emulator";
import { checksOf, runPython } from "./python-process.mjs";

const SECURITY_TOKEN = "security-token";

/** Runs control.py. Returns its checks, and checks of the same requests by this package. */
export async function controlChecks(python) {
  const emulator = await startEmulator({ control: { securityToken: SECURITY_TOKEN } });
  const { accessKeyId, accessKeySecret, region } = emulator.control;
  const options = {
    accessKeyId,
    accessKeySecret,
    securityToken: SECURITY_TOKEN,
    region,
    controlEndpoint: emulator.endpoint,
  };
  try {
    const names = [];
    for await (const { serviceName } of listServices(options)) names.push(serviceName);
    const found = await findService("echo", { ...options, gateway: "default" });
    const host = new URL(emulator.endpoint).host;
    const lines = await runPython(python, "control.py", { ...options, host, names, token: emulator.token });
    return {
      python: checksOf(lines),
      client: [
        ["finds the service that Python finds", () => assert.equal(found.token, emulator.token)],
        ["lists all services", () => assert.deepEqual(names, ["echo", "scorecard", "digits", "ranker", "llm"])],
      ],
    };
  } finally {
    await emulator.close();
  }
}
