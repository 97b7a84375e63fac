import { execFileSync } from "node:child_process";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RunningEmulator, startEmulator } from "../../../src/emulator/index.js";
import {
  buildCommandLine,
  type CommandLine,
  openTerminal,
  runCommand,
  runJson,
} from "../../support/cli/command-line.js";

let commandLine: CommandLine;
let emulator: RunningEmulator;
beforeAll(async () => {
  commandLine = await buildCommandLine();
});
afterAll(() => commandLine.remove());
beforeEach(async () => {
  emulator = await startEmulator({ token: "it's a $TOKEN", control: { describe: () => ({ Processor: "pmml" }) } });
});
afterEach(() => emulator.close());

const env = () => ({
  ALIBABA_CLOUD_ACCESS_KEY_ID: emulator.control.accessKeyId,
  ALIBABA_CLOUD_ACCESS_KEY_SECRET: emulator.control.accessKeySecret,
  ALIBABA_CLOUD_REGION_ID: emulator.control.region,
});
const services = (...args: string[]) => ["services", ...args, "--control-endpoint", emulator.endpoint];

describe("eas-prediction services", () => {
  test("lists services as a table and as JSON", async () => {
    const { stdout } = await runCommand(commandLine, services("list"), { env: env() });
    expect(stdout.split("\n").slice(0, 2)).toEqual([
      "name       status   instances  processor",
      "echo       Running  1/1        pmml",
    ]);
    const list = await runJson(commandLine, services("list", "--name", "card"), { env: env() });
    expect(list).toMatchObject([{ serviceName: "scorecard", status: "Running", region: "cn-hangzhou" }]);
  });

  test("fits a terminal of 40 columns", async () => {
    const session = openTerminal(commandLine, services("list"), { env: env(), columns: 40 });
    expect(await session.exitCode).toBe(0);
    expect(session.screen()).toContain("scorecard");
    expect(
      Math.max(
        ...session
          .screen()
          .split("\n")
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(40);
  });

  test("shows a service without its token", async () => {
    const shown = await runCommand(commandLine, services("show", "echo"), { env: env() });
    expect(shown.stdout).toMatch(/endpoint +http:\/\/127\.0\.0\.1:\d+\/api\/predict\/echo\n/);
    expect(shown.stdout).not.toContain("TOKEN");
    expect(JSON.stringify(await runJson(commandLine, services("show", "echo"), { env: env() }))).not.toContain("TOKEN");
  });

  test("prints shell commands that a shell reads without interpreting them", async () => {
    const { stdout } = await runCommand(commandLine, services("show", "echo", "--export"), { env: env() });
    const script = `${stdout}printf '%s|' "$EAS_SERVICE_NAME" "$EAS_TOKEN"`;
    expect(execFileSync("sh", ["-c", script], { encoding: "utf8" })).toBe("echo|it's a $TOKEN|");
  });

  test("explains an unknown service, and a missing AccessKey", async () => {
    const unknown = await runCommand(commandLine, services("show", "ehco"), { env: env() });
    expect(unknown.stderr).toMatch(/^error: the service "ehco" does not exist in cn-hangzhou\. Services .*: echo, /);
    expect(unknown.exitCode).toBe(1);
    const missing = await runCommand(commandLine, services("list"), {});
    expect(missing.stderr).toMatch(/^error: region is missing: pass .* or set ALIBABA_CLOUD_REGION_ID\n$/);
    expect(missing.exitCode).toBe(2);
  });
});
