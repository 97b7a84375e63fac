import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { checkCors } from "../../../../src/cli/doctor/cors.js";
import type { Subject } from "../../../../src/cli/doctor/subject.js";
import { type RunningEmulator, startEmulator } from "../../../../src/emulator/index.js";
import { CA, type Certificate, ELSEWHERE, EXPIRED, SELF_SIGNED, SERVER } from "../../../support/certificates.js";
import {
  buildCommandLine,
  type CommandLine,
  openTerminal,
  type RunOptions,
  runCommand,
} from "../../../support/cli/command-line.js";
import {
  type Behaviour,
  finBeforeHeaders,
  type HeaderLines,
  MisbehavingServer,
  refusedOrigin,
  resetBeforeHeaders,
  type SeenRequest,
  stallBeforeHeaders,
} from "../../../support/misbehaving-server.js";

const TOKEN = "a-secret-token";
const PAGE = "https://app.example.com";

let commandLine: CommandLine;
let server: MisbehavingServer;
beforeAll(async () => {
  commandLine = await buildCommandLine();
});
afterAll(() => commandLine.remove());
beforeEach(async () => {
  server = await MisbehavingServer.start();
});
afterEach(() => server.close());

interface Result {
  id: string;
  severity: string;
  seen: string;
  fix?: string;
}

/** Runs `doctor --json` for an origin. */
async function examine(origin: string, args: readonly string[] = [], options: RunOptions = {}) {
  const target = ["-e", origin, "-s", "svc", "--token", TOKEN];
  const run = await runCommand(commandLine, ["doctor", ...target, ...args, "--json"], options);
  const { results } = JSON.parse(run.stdout) as { results: Result[] };
  const findings = results.filter(({ severity }) => severity === "problem" || severity === "warning");
  return { ...run, results, findings };
}

type Reply = readonly [status: number, headers?: HeaderLines, body?: string];

/** A service that responds to each request as `reply` says. */
function service(reply: (request: SeenRequest) => Reply): Behaviour {
  return {
    on: "request",
    run: (socket, request) => {
      const [status, headers = {}, body = "ok"] = reply(request);
      const lines = Object.entries({ "Content-Length": `${Buffer.byteLength(body)}`, ...headers });
      socket.write(
        `HTTP/1.1 ${status} Status\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`,
      );
    },
  };
}

const authorizationOf = ({ headers }: SeenRequest) => headers.authorization ?? "";
const isAllowed = (request: SeenRequest) => authorizationOf(request).includes(TOKEN) || isSigned(request);
const isSigned = (request: SeenRequest) => authorizationOf(request).startsWith("EAS ");
/** A service that behaves, except for what `reply` returns. */
const healthy = (reply: (request: SeenRequest) => Reply | undefined = () => undefined) =>
  service((request) => {
    const own = reply(request);
    if (own !== undefined) return own;
    if (request.method === "OPTIONS") return [204, CORS, ""];
    return isAllowed(request) ? [200, CORS] : [401, CORS, "Unauthorized"];
  });
const CORS = {
  "Access-Control-Allow-Origin": PAGE,
  "Access-Control-Allow-Headers": "Authorization, Content-Type",
};
const posts = (reply: Reply) => healthy(({ method }) => (method === "POST" ? reply : undefined));
const preflights = (reply: Reply) => healthy(({ method }) => (method === "OPTIONS" ? reply : undefined));

/** Sends the events of a stream, `milliseconds` apart, or all of them after the last interval. */
function stream(isBuffered: boolean): Behaviour {
  return {
    on: "request",
    run: (socket, request) => {
      if (request.method !== "POST") return healthy().run(socket as never, request as never);
      const lines = { "Content-Type": "text/event-stream", Connection: "close" };
      const head = `HTTP/1.1 200 OK\r\n${Object.entries(lines)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join("")}\r\n`;
      const events = Array.from({ length: 10 }, (_, index) => `data: ${index}\n\n`);
      if (isBuffered) {
        socket.write(head);
        setTimeout(() => socket.end(events.join("")), 500);
        return;
      }
      socket.write(head);
      const timer = setInterval(() => {
        const event = events.shift();
        if (event !== undefined) return void socket.write(event);
        clearInterval(timer);
        socket.end();
      }, 40);
      socket.on("close", () => clearInterval(timer));
    },
  };
}

const CHAT = ["--stream", "--model", "m"];

describe("eas-prediction doctor", () => {
  test("finds nothing in a service that behaves, and exits with 0", async () => {
    server.always(healthy());
    const { findings, results, exitCode } = await examine(server.origin, [
      "--origin",
      PAGE,
      "--data",
      "{}",
      "--body-limit",
      "1",
    ]);
    expect(findings).toEqual([]);
    expect(exitCode).toBe(0);
    expect(results.map(({ id, severity }) => `${id} ${severity}`)).toEqual([
      "address ok",
      "proxy ok",
      "dns skipped",
      "tcp ok",
      "tls skipped",
      "service ok",
      "clock skipped",
      "auth ok",
      "cors ok",
      "content ok",
      "stream skipped",
      "body ok",
    ]);
  });

  test("sends only GET requests without a body by default", async () => {
    server.always(healthy());
    await examine(server.origin);
    expect(server.requests.map(({ method, body }) => `${method} ${body.length}`)).toEqual(Array(6).fill("GET 0"));
  });

  test.each<[id: string, behaviour: Behaviour, args: string[], fix: RegExp]>([
    ["service-network", resetBeforeHeaders, [], /closes the connection/],
    ["service-network", finBeforeHeaders, [], /closes the connection/],
    ["service-timeout", stallBeforeHeaders, ["--timeout", "200ms"], /Increase --timeout/],
    ["service-path", healthy(() => [404, {}, "service not found"]), [], /the name of the service/],
    ["service-not-ready", healthy(() => [503, {}, "no healthy upstream"]), [], /Start the service/],
    ["service-error", healthy(() => [502, {}, "bad gateway"]), [], /log of the service/],
    ["auth-refused", healthy(() => [401]), [], /Copy the token/],
    ["auth-forbidden", healthy(() => [403]), [], /access lists/],
    [
      "auth-form",
      service((request) => [authorizationOf(request) === `Bearer ${TOKEN}` ? 200 : 401]),
      [],
      /auth: "bearer"/,
    ],
    ["auth-form", service((request) => [isSigned(request) ? 200 : 401]), [], /auth: "signature"/],
    ["auth-signature", healthy((request) => (isSigned(request) ? [401] : undefined)), [], /auth: "token"/],
    ["auth-not-required", healthy(() => [200]), [], /enable authentication/],
    [
      "clock-skew",
      healthy((request) =>
        isAllowed(request) ? [200, { Date: new Date(Date.now() - 86_400_000).toUTCString() }] : undefined,
      ),
      [],
      /Synchronize the clock/,
    ],
    ["content-type", posts([415]), ["--data", "{}"], /Set contentType/],
    [
      "content-type",
      healthy((request) => (request.headers["content-type"] === "application/json" ? [415] : undefined)),
      ["--data", "{}"],
      /contentType: "application\/octet-stream"/,
    ],
    [
      "content-invalid",
      posts([422, {}, '{"detail":[{"loc":["body","x"],"msg":"field required"}]}']),
      ["--data", "{}"],
      /eas-prediction types/,
    ],
    ["content-refused", posts([400, {}, "cannot parse"]), ["--data", "{}"], /input names/],
    ["content-too-large", posts([413]), ["--data", "{}"], /URL of the data/],
    ["content-failed", healthy(() => undefined), ["--data", "{}", "--path", "/reset"], /log of the service/],
    ["cors-refused", preflights([401]), ["--origin", PAGE], /relay/],
    ["cors-redirect", preflights([307, { Location: "http://127.0.0.1:1/" }]), ["--origin", PAGE], /relay/],
    ["cors-origin", preflights([204, {}, ""]), ["--origin", PAGE], /Allow the origin/],
    [
      "cors-origin",
      preflights([204, { "Access-Control-Allow-Origin": "https://other.example.com" }, ""]),
      ["--origin", PAGE],
      /Allow the origin/,
    ],
    [
      "cors-headers",
      preflights([204, { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*" }, ""]),
      ["--origin", PAGE],
      /wildcard/,
    ],
    [
      "cors-response",
      healthy(({ method, headers }) => (method === "GET" && headers.origin ? [200] : undefined)),
      ["--origin", PAGE],
      /every response/,
    ],
    ["stream-buffered", stream(true), CHAT, /response buffering/],
    ["stream-missing", posts([200, { "Content-Type": "application/json" }, "{}"]), CHAT, /path of --stream/],
    ["stream-no-model", healthy(), ["--stream"], /--model/],
    [
      "body-limit",
      healthy(({ body }) => (body.length > 2_097_152 ? [413] : undefined)),
      ["--body-limit", "8"],
      /dedicated gateway/,
    ],
    ["body-unknown", posts([404]), ["--body-limit", "8"], /path first/],
  ])("finds %s", async (id, behaviour, args, fix) => {
    server.always(
      behaviour.on === "request"
        ? {
            on: "request",
            run: (socket, request) =>
              request.path.endsWith("/reset") ? void socket.resetAndDestroy() : behaviour.run(socket, request),
          }
        : behaviour,
    );
    const { findings, exitCode, stderr, stdout } = await examine(server.origin, args);
    expect(findings).toMatchObject([{ id, fix: expect.stringMatching(fix) }]);
    const hasProblem = findings.some(({ severity }) => severity === "problem");
    expect(exitCode).toBe(hasProblem ? 3 : 0);
    expect(stdout + stderr).not.toContain(TOKEN);
  });

  test("measures a stream whose events arrive one after another", async () => {
    server.always(stream(false));
    const { results, findings } = await examine(server.origin, CHAT);
    expect(findings).toEqual([]);
    expect(results.find(({ id }) => id === "stream")?.seen).toMatch(/^10 events, the first after \d+ ms/);
  });

  test("sends the token to no target of a redirect", async () => {
    const other = await MisbehavingServer.start();
    const location = `${other.origin}/login?key=${TOKEN}`;
    server.always(service(() => [302, { Location: location }, ""]));
    const { findings, stdout } = await examine(server.origin, [
      "--origin",
      PAGE,
      "--data",
      "{}",
      ...CHAT,
      "--body-limit",
      "1",
    ]);
    expect(findings).toMatchObject([
      { id: "service-redirects", seen: `the service redirects to ${other.origin}/login (302)` },
    ]);
    expect(other.connections).toBe(0);
    expect(stdout).not.toContain(TOKEN);
    await other.close();
  });

  test("follows no redirect of the other checks either", async () => {
    const other = await MisbehavingServer.start();
    const isProbe = ({ method, headers }: SeenRequest) => method === "GET" && !headers.origin;
    server.always(healthy((request) => (isProbe(request) ? undefined : [307, { Location: other.origin }, ""])));
    await examine(server.origin, ["--origin", PAGE, "--data", "{}", ...CHAT, "--body-limit", "1"]);
    expect(other.connections).toBe(0);
    await other.close();
  });

  test("finds a port that refuses connections, and checks no further", async () => {
    const { findings, results } = await examine(await refusedOrigin());
    expect(findings).toMatchObject([{ id: "tcp-refused", severity: "problem" }]);
    expect(results.at(-1)?.id).toBe("tcp-refused");
  });

  test("finds a host without an address", async () => {
    const { findings } = await examine("https://host.invalid");
    expect(findings).toMatchObject([
      { id: "dns-failed", seen: expect.stringContaining("host.invalid cannot be resolved") },
    ]);
  });

  test("names the VPC for a host that is known only inside it", async () => {
    const { findings } = await examine("http://1234567890.vpc.cn-nowhere.pai-eas.aliyuncs.com.invalid");
    expect(findings).toMatchObject([{ id: "dns-failed", fix: expect.stringContaining("only inside its VPC") }]);
  });

  test.each([
    ["ftp://example.com", "must begin with http:// or https://"],
    ["http://user:hunter2@example.com", "has a user name or password"],
  ])("finds the invalid address %s", async (origin, seen) => {
    const { findings, exitCode, stdout } = await examine(origin);
    expect(findings).toMatchObject([{ id: "address-invalid", seen: expect.stringContaining(seen) }]);
    expect(exitCode).toBe(3);
    expect(stdout).not.toContain("hunter2");
  });

  test("finds a missing service name", async () => {
    const { stdout, exitCode } = await runCommand(commandLine, ["doctor", "-e", server.origin]);
    expect(stdout).toContain("address-invalid");
    expect(stdout).toContain("serviceName");
    expect(exitCode).toBe(3);
    expect(server.connections).toBe(0);
  });

  test("warns of a token that is sent to a public address without TLS", async () => {
    const { findings } = await examine("http://public.example.invalid");
    expect(findings.map(({ id }) => id)).toEqual(["address-plain-http", "dns-failed"]);
  });

  test("finds that a page with https cannot call an address with http", async () => {
    const result = await checkCors({ url: new URL("http://public.example.com") } as Subject, PAGE);
    expect(result).toMatchObject({ id: "cors-mixed-content", fix: expect.stringContaining("https://") });
  });

  test("finds a missing token, and a token in quotation marks", async () => {
    server.always(healthy(() => [401]));
    const missing = await runCommand(commandLine, ["doctor", "-e", server.origin, "-s", "svc"]);
    expect(missing.stdout).toContain("auth-missing");
    const quoted = await runCommand(commandLine, ["doctor", "-e", server.origin, "-s", "svc", "--token", `"${TOKEN}"`]);
    expect(quoted.stdout.replaceAll(/\s+/g, " ")).toContain("Remove the quotation marks");
  });

  test.each<[env: Record<string, string>, id: string]>([
    [{ HTTP_PROXY: "http://user:hunter2@127.0.0.1:1" }, "proxy-not-used"],
    [{ http_proxy: "127.0.0.1:1" }, "proxy-not-used"],
    [{ HTTP_PROXY: "http://" }, "proxy-invalid"],
    [{ HTTP_PROXY: "http://127.0.0.1:1", NO_PROXY: "localhost, 127.0.0.1" }, "proxy"],
    [{ HTTPS_PROXY: "http://127.0.0.1:1" }, "proxy"],
  ])("reads the environment %j as %s", async (env, id) => {
    server.always(healthy());
    const { results, stdout } = await examine(server.origin, [], { env });
    expect(results[1]?.id).toBe(id);
    expect(stdout).not.toContain("hunter2");
  });

  test("removes control characters and the token from what the service sends", async () => {
    server.always(posts([400, {}, `\x1b]0;title\x07 token ${TOKEN}\u202e`]));
    const { stdout } = await runCommand(commandLine, [
      "doctor",
      "-e",
      server.origin,
      "-s",
      "svc",
      "--token",
      TOKEN,
      "-d",
      "{}",
    ]);
    expect(stdout.replaceAll(/\s+/g, " ")).toContain("title token <token>");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the test looks for control characters.
    expect(stdout).not.toMatch(/[\x1b\x07\u202e]/);
  });

  test.each([
    [["--origin", "example"], "It must be an origin"],
    [["--origin", "https://example.com/path"], "It must be an origin"],
    [["--body-limit", "1000"], "from 1 to 256"],
    [["--path", "x"], 'It must begin with "/"'],
    [["--stream", "x"], 'It must begin with "/"'],
    [["--data", "@missing"], "missing cannot be read"],
    [["--report", "--json"], "cannot be used with option"],
  ])("refuses %j with exit code 2", async (args, message) => {
    const { stderr, exitCode } = await runCommand(commandLine, ["doctor", "-e", server.origin, "-s", "svc", ...args]);
    expect(stderr).toContain(message);
    expect(exitCode).toBe(2);
    expect(server.connections).toBe(0);
  });

  test("ends with 130 after Ctrl-C, while the service stalls", async () => {
    server.always(stallBeforeHeaders);
    const session = openTerminal(commandLine, ["doctor", "-e", server.origin, "-s", "svc"]);
    await session.shows(/calling the service/);
    await server.seen();
    session.type("\x03");
    expect(await session.exitCode).toBe(130);
  });
});

describe("eas-prediction doctor over TLS", () => {
  let secure: Server;
  afterEach(() => {
    secure.closeAllConnections();
    secure.close();
  });

  async function start(certificate: Certificate): Promise<string> {
    secure = createServer(certificate, (request, response) => {
      response.statusCode = request.headers.authorization === undefined ? 401 : 200;
      response.end("ok");
    }).listen(0, "127.0.0.1");
    await once(secure, "listening");
    return `https://127.0.0.1:${(secure.address() as AddressInfo).port}`;
  }

  const trusted = async () => {
    const file = join(commandLine.file, "..", "ca.pem");
    await writeFile(file, CA);
    return { env: { NODE_EXTRA_CA_CERTS: file } };
  };

  test("shows how long a valid certificate is valid", async () => {
    const { results, findings } = await examine(await start(SERVER), [], await trusted());
    expect(findings).toEqual([]);
    expect(results.find(({ id }) => id === "tls")?.seen).toMatch(/^TLSv1\.3, the certificate is valid until 2125-/);
  });

  test.each([
    ["tls-expired", EXPIRED, "the certificate expired on 2020-01-02"],
    ["tls-wrong-host", ELSEWHERE, "the certificate is for DNS:elsewhere.test, not for 127.0.0.1"],
    ["tls-untrusted", SELF_SIGNED, "not signed by a trusted authority"],
  ])("finds %s, and sends no request", async (id, certificate, seen) => {
    const origin = await start(certificate);
    let requests = 0;
    secure.on("request", () => requests++);
    const { findings, exitCode } = await examine(origin, [], await trusted());
    expect(findings).toMatchObject([{ id, severity: "problem", seen: expect.stringContaining(seen) }]);
    expect(exitCode).toBe(3);
    expect(requests).toBe(0);
  });

  test("finds that a port requires TLS", async () => {
    const origin = await start(SERVER);
    const { findings } = await examine(origin.replace("https:", "http:"));
    expect(findings).toMatchObject([{ id: "tls-required", fix: "Begin the address with https://." }]);
  });

  test("finds that a port does not use TLS", async () => {
    const plain = await startEmulator();
    await start(SERVER);
    const { findings } = await examine(plain.endpoint.replace("http:", "https:"));
    expect(findings).toMatchObject([{ id: "tls-plain-http", fix: expect.stringContaining("http://") }]);
    await plain.close();
  });
});

describe("the output of eas-prediction doctor", () => {
  let emulator: RunningEmulator;
  beforeEach(async () => {
    emulator = await startEmulator();
  });
  afterEach(() => emulator.close());
  const doctor = (...args: string[]) => [
    "doctor",
    "-e",
    emulator.endpoint,
    "-s",
    "echo",
    "--token",
    "wrong-token",
    ...args,
  ];

  test("is a table in a pipe, without colors", async () => {
    const { stdout, stderr, exitCode } = await runCommand(commandLine, doctor());
    expect(stdout).toMatch(/^ok {7}tcp {11}connected to port \d+ in \d+ ms$/m);
    expect(stdout).toMatch(/^ {23}Fix: Copy the token of this service/m);
    expect(stdout).not.toContain("\x1b");
    expect(stderr).toBe("error: found 1 problem\n");
    expect(exitCode).toBe(3);
  });

  test.each([
    [{}, true],
    [{ NO_COLOR: "1" }, false],
  ])("has colors in a terminal with the environment %j: %s", async (env: Record<string, string>, colors) => {
    const session = openTerminal(commandLine, doctor(), { env });
    expect(await session.exitCode).toBe(3);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character starts a color.
    expect(/\x1b\[31mproblem/.test(session.raw())).toBe(colors);
    expect(session.screen()).toMatch(/^problem {2}auth-refused {2}the service refuses the token/m);
  });

  test("fits a terminal of 40 columns, without words that are cut", async () => {
    const session = openTerminal(commandLine, doctor(), { columns: 40, rows: 60 });
    expect(await session.exitCode).toBe(3);
    expect(session.screen()).toContain("problem  auth-refused\n  the service refuses the token in every\n");
    expect(
      Math.max(
        ...session
          .screen()
          .split("\n")
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(40);
  });

  test("is a text for a ticket with --report, with versions and without the token", async () => {
    const { stdout, exitCode } = await runCommand(commandLine, doctor("--report"));
    expect(stdout).toMatch(
      /^eas-prediction 0\.0\.0-test, Node [\d.]+, \S+ \S+\ntime: \S+Z\nservice: http:.*echo\n\nChecks:\n- ok address/,
    );
    expect(stdout).toContain("- problem auth-refused: ");
    expect(stdout).not.toContain("wrong-token");
    expect(exitCode).toBe(3);
  });
});
