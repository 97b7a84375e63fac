import { afterEach, expect, test, vi } from "vitest";
import { isPublicHost } from "../../../src/call/plain-token.js";
import { PredictClient, QueueClient } from "../../../src/index.js";
import { RecordingTransport } from "../../support/calls.js";

afterEach(() => {
  vi.restoreAllMocks();
});

// Each host causes one warning per process, so each test uses its own hosts.
let hosts = 0;
function publicHost(): string {
  hosts++;
  return `${hosts}.cn-shanghai.pai-eas.aliyuncs.com`;
}

/** Waits until a warning about a host of its own appears: those before it are there then, too. */
async function untilWarned(warn: { mock: { calls: unknown[][] } }): Promise<string[]> {
  const host = publicHost();
  await clientOf(host).predict("x", { headers: {} });
  const warnings = () => warn.mock.calls.map(([line]) => String(line));
  await vi.waitFor(() => expect(warnings().some((line) => line.includes(host))).toBe(true), { timeout: 20_000 });
  return warnings().filter((line) => !line.includes(host));
}

function clientOf(endpoint: string, options = {}): PredictClient {
  const transport = new RecordingTransport();
  return new PredictClient({ endpoint, serviceName: "svc", token: "tok-1234", auth: "token", transport, ...options });
}

function spyOnConsole() {
  return vi.spyOn(console, "warn").mockImplementation(() => {});
}

test("warns once of a raw token over http to a public host, without the token", async () => {
  const warn = spyOnConsole();
  const host = publicHost();
  for (let i = 0; i < 3; i++) await clientOf(host).predict("x");
  await clientOf(host, { token: () => "tok-1234" }).predict("x");
  const lines = await untilWarned(warn);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(`the token is sent to ${host} over plain http`);
  expect(lines[0]).toContain("https://");
  expect(lines[0]).not.toContain("tok-1234");
});

test("warns of token functions, Bearer tokens and fetch()", async () => {
  const warn = spyOnConsole();
  const used = [publicHost(), publicHost(), publicHost(), publicHost()] as const;
  await clientOf(used[0], { token: async () => "tok-1234" }).predict("x");
  await clientOf(used[1], { auth: "bearer" }).predict("x");
  // Signed when predicted, but not with fetch().
  await clientOf(used[2], { auth: "auto" })
    .fetch("/v1/models")
    .catch(() => {});
  const queue = new QueueClient({
    endpoint: used[3],
    queueName: "q",
    token: "tok-1234",
    transport: new RecordingTransport(),
    logger: console,
  });
  await queue.attributes().catch(() => {});
  const lines = await untilWarned(warn);
  for (const host of used) expect(lines.filter((line) => line.includes(`to ${host} over`))).toHaveLength(1);
});

test("sends the warning to the client's logger; null disables it", async () => {
  const warn = spyOnConsole();
  const logger = { debug: () => {}, warn: vi.fn(), error: () => {} };
  const host = publicHost();
  await clientOf(host, { logger }).predict("x");
  await clientOf(publicHost(), { logger: null }).predict("x");
  expect(await untilWarned(warn)).toEqual([]);
  expect(logger.warn).toHaveBeenCalledOnce();
  expect(logger.warn.mock.calls[0]?.[0]).toContain(host);
});

test("does not warn of signatures, https, private hosts and calls without a token", async () => {
  const warn = spyOnConsole();
  await clientOf(publicHost(), { auth: "signature" }).predict("x");
  await clientOf(publicHost(), { auth: "auto" }).predict("x");
  await clientOf(`https://${publicHost()}`).predict("x");
  await new PredictClient({ endpoint: publicHost(), serviceName: "svc", transport: new RecordingTransport() }).predict(
    "x",
  );
  for (const endpoint of [
    "127.0.0.1:9000",
    "localhost:8080",
    "10.1.2.3",
    "1234.vpc.cn-shanghai.pai-eas.aliyuncs.com",
  ]) {
    await clientOf(endpoint).predict("x");
  }
  expect(await untilWarned(warn)).toEqual([]);
});

test.each([
  ["1234.cn-shanghai.pai-eas.aliyuncs.com", true],
  ["example.com", true],
  ["xn--fiqs8s.xn--fiqs8s", true],
  ["8.8.8.8", true],
  ["172.15.0.1", true],
  ["172.32.0.1", true],
  ["100.128.0.1", true],
  ["[2001:db8::1]", true],
  ["vpcs.example.com", true],
  ["1234.vpc.cn-shanghai.pai-eas.aliyuncs.com", false],
  ["pai-eas-vpc.cn-shanghai.aliyuncs.com", false],
  ["localhost", false],
  ["gateway", false],
  ["svc.eas-ns", false],
  ["svc.ns.svc.cluster.local", false],
  ["eas.internal", false],
  ["127.0.0.1", false],
  ["10.0.0.1", false],
  ["172.16.0.1", false],
  ["172.31.255.255", false],
  ["192.168.1.1", false],
  ["169.254.1.1", false],
  ["100.64.0.1", false],
  ["100.127.255.255", false],
  ["[::1]", false],
  ["[fd00::1]", false],
  ["[fe80::1]", false],
])("%s is public: %s", (host, expected) => {
  expect(isPublicHost(host)).toBe(expected);
});
