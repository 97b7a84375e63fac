import { inspect } from "node:util";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type FindServiceOptions, findService, listServices } from "../../../src/control/index.js";
import { createEmulator, type EmulatorOptions } from "../../../src/emulator/memory.js";
import { EasError, EasHttpError, EasUnsupportedError, PredictClient } from "../../../src/index.js";

const SECRET = "access-key-secret-0123456789";
const TOKEN = "token-of-all-services-0123456789";
const STS = "security-token-0123456789";

afterEach(() => vi.unstubAllEnvs());

/** Returns an emulator, and the options to find its services. */
function setUp(options: EmulatorOptions = {}) {
  const emulator = createEmulator({
    token: TOKEN,
    ...options,
    control: { accessKeyId: "LTAIexample", accessKeySecret: SECRET, ...options.control },
  });
  const find: FindServiceOptions = {
    region: "cn-hangzhou",
    accessKeyId: "LTAIexample",
    accessKeySecret: SECRET,
    fetch: (input, init) => emulator.fetch(new Request(input as URL, init)),
    retryCount: 0,
  };
  return { emulator, find };
}

/** Returns the error of a look-up. */
async function failure(name: string, options: FindServiceOptions): Promise<Error> {
  try {
    await findService(name, options);
  } catch (error) {
    return error as Error;
  }
  throw new Error("findService did not reject");
}

describe("findService", () => {
  test("returns an address and a token that a client accepts unchanged", async () => {
    const { emulator, find } = setUp();
    const service = await findService("echo", find);
    expect({ ...service }).toEqual({
      endpoint: "https://pai-eas.cn-hangzhou.aliyuncs.com/api/predict/echo",
      serviceName: "echo",
      token: TOKEN,
      endpointType: "GATEWAY",
    });
    expect(service.status).toBe("Running");
    const client = new PredictClient({ ...service, transport: emulator.transport });
    expect(String(await client.predict("found"))).toBe("found");
    expect(new PredictClient(service)).toBeInstanceOf(PredictClient);
  });

  test("sends only GET requests, to the control plane of the region", async () => {
    const { emulator, find } = setUp();
    const urls: string[] = [];
    const fetch: typeof globalThis.fetch = (input, init) => {
      urls.push(String(input));
      expect(init?.redirect).toBe("manual");
      return emulator.fetch(new Request(input as URL, init));
    };
    await findService("echo", { ...find, fetch, gateway: "default" });
    expect(urls).toEqual([
      "https://pai-eas.cn-hangzhou.aliyuncs.com/api/v2/services/cn-hangzhou/echo",
      "https://pai-eas.cn-hangzhou.aliyuncs.com/api/v2/services/cn-hangzhou/echo/endpoints",
    ]);
    expect(emulator.requests.map(({ method }) => method)).toEqual(["GET", "GET"]);
  });

  test("shows the token neither in a console nor as JSON", async () => {
    const { find } = setUp();
    const service = await findService("echo", find);
    for (const text of [inspect(service), JSON.stringify(service), String(service)]) {
      expect(text).toContain("echo");
      expect(text).not.toContain(TOKEN);
    }
  });

  test("reads the AccessKey and the region from the environment", async () => {
    const { find } = setUp({ control: { securityToken: STS } });
    vi.stubEnv("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAIexample");
    vi.stubEnv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET);
    vi.stubEnv("ALIBABA_CLOUD_SECURITY_TOKEN", STS);
    vi.stubEnv("ALIBABA_CLOUD_REGION_ID", "cn-hangzhou");
    expect((await findService("echo", { fetch: find.fetch })).region).toBe("cn-hangzhou");
  });

  test("does not combine an explicit AccessKey with the security token of the environment", async () => {
    const { emulator, find } = setUp();
    vi.stubEnv("ALIBABA_CLOUD_SECURITY_TOKEN", STS);
    await findService("echo", find);
    expect(emulator.requests[0]?.headers.get("x-acs-security-token")).toBeNull();
  });

  test("asks a provider for credentials before each request", async () => {
    const { find } = setUp({ control: { securityToken: STS } });
    const { accessKeyId: _, accessKeySecret: __, ...rest } = find;
    let calls = 0;
    const credentials = async () => {
      calls++;
      return { accessKeyId: "LTAIexample", accessKeySecret: SECRET, securityToken: STS };
    };
    await findService("echo", { ...rest, credentials, gateway: "default" });
    expect(calls).toBe(2);
  });

  test("chooses the address of the network and of the gateway", async () => {
    const { find } = setUp({
      control: {
        describe: () => ({ IntranetEndpoint: "http://1.vpc.cn-hangzhou.pai-eas.aliyuncs.com/api/predict/echo" }),
        endpoints: () => [
          {
            EndpointType: "DefaultGateway",
            BackendId: "default",
            PathType: "Group",
            InternetEndpoints: ["http://group"],
          },
          { EndpointType: "Nlb", BackendId: "nlb-1", IntranetEndpoints: ["nlb-1.example.com"], Port: 9090 },
          { EndpointType: "PrivateGateway", BackendId: "gw-1", InternetEndpoints: ["http://gw-1/api/predict/echo"] },
        ],
      },
    });
    const endpointOf = async (options: FindServiceOptions) => {
      const { endpoint, endpointType } = await findService("echo", { ...find, ...options });
      return `${endpointType} ${endpoint}`;
    };
    expect(await endpointOf({ network: "intranet" })).toBe(
      "GATEWAY http://1.vpc.cn-hangzhou.pai-eas.aliyuncs.com/api/predict/echo",
    );
    expect(await endpointOf({ network: "vpc" })).toBe("DIRECT pai-eas-vpc.cn-hangzhou.aliyuncs.com");
    expect(await endpointOf({ gateway: "gw-1" })).toBe("GATEWAY http://gw-1/api/predict/echo");
    expect(await endpointOf({ gateway: "nlb-1", network: "intranet" })).toBe("GATEWAY http://nlb-1.example.com:9090");
    const error = await failure("echo", { ...find, gateway: "nlb-1" });
    expect(error).toBeInstanceOf(EasUnsupportedError);
    expect(error.message).toBe(
      'the service "echo" in cn-hangzhou has no internet address through the gateway "nlb-1". Its status is "Running". Known gateways: nlb-1 (intranet); gw-1 (internet)',
    );
  });

  test("reads the processor from its field or from the configuration", async () => {
    const { find } = setUp({
      control: {
        describe: (name) =>
          name === "echo" ? { Processor: "pmml" } : { ServiceConfig: '{"processor":"tensorflow_gpu_1.12"}' },
      },
    });
    expect((await findService("echo", find)).processor).toBe("pmml");
    expect((await findService("digits", find)).processor).toBe("tensorflow_gpu_1.12");
  });

  test("suggests similar names for an unknown service", async () => {
    const { find } = setUp();
    const error = await failure("ehco", find);
    expect(error).toBeInstanceOf(EasHttpError);
    expect(error.message).toMatch(
      /^the service "ehco" does not exist in cn-hangzhou\. Services in cn-hangzhou: echo, /,
    );
  });

  test("searches several regions, and refuses a name that is ambiguous", async () => {
    const { emulator, find } = setUp();
    const requested: string[] = [];
    const inRegions = (...regions: string[]): typeof globalThis.fetch => {
      return async (input, init) => {
        const region = /services\/([^/?]+)/.exec(String(input))?.[1] as string;
        requested.push(region);
        if (regions.includes(region)) {
          return Response.json({ ServiceName: "echo", InternetEndpoint: "http://x", AccessToken: TOKEN });
        }
        return emulator.fetch(new Request(input as URL, init));
      };
    };
    const region = ["cn-beijing", "cn-shanghai"];
    const found = await findService("echo", { ...find, region, fetch: inRegions("cn-shanghai") });
    expect(found.region).toBe("cn-shanghai");
    expect(requested).toEqual(region);
    const error = await failure("echo", { ...find, region, fetch: inRegions(...region) });
    expect(error.message).toBe(
      'the service "echo" exists in several regions (cn-beijing, cn-shanghai): pass one of them as region',
    );
  });

  describe("explains refused requests", () => {
    test.each<[string, FindServiceOptions, EmulatorOptions["control"], RegExp]>([
      ["an unknown AccessKey", { accessKeyId: "LTAIother" }, {}, /404 InvalidAccessKeyId\.NotFound: .*/],
      ["a wrong secret", { accessKeySecret: "wrong" }, {}, /400 SignatureDoesNotMatch: /],
      ["expired credentials", { securityToken: "expired" }, { securityToken: STS }, /InvalidSecurityToken\.Expired/],
      ["a missing security token", {}, { securityToken: STS }, /MissingSecurityToken/],
      ["a wrong clock", {}, { now: () => Date.now() + 3_600_000 }, /InvalidTimeStamp\.Expired/],
    ])("%s", async (_, options, control, message) => {
      const { find } = setUp({ control });
      const error = (await failure("echo", { ...find, ...options })) as EasHttpError;
      expect(error).toBeInstanceOf(EasHttpError);
      expect(error.message).toMatch(message);
      expect(error.hint).not.toBe("");
      for (const text of [inspect(error, { depth: 9 }), JSON.stringify(error), error.text, String(error.stack)]) {
        expect(text).not.toContain(SECRET);
        expect(text).not.toContain(STS);
        expect(text).not.toContain("wrong\n");
      }
    });

    test("a clock that differs from the service's Date header", async () => {
      const { find } = setUp();
      const fetch = async () =>
        Response.json(
          { Code: "InvalidTimeStamp.Expired", Message: "expired" },
          { status: 400, headers: { date: new Date(Date.now() - 7_200_000).toUTCString() } },
        );
      const error = (await failure("echo", { ...find, fetch })) as EasHttpError;
      expect(error.hint).toBe(
        "The clock of this machine is wrong. Set it, for example with NTP. The clock of this machine is 120 minutes ahead of the service.",
      );
    });

    test("without repeating the security token that the service sends back", async () => {
      const { find } = setUp();
      const fetch = async () =>
        Response.json({ Code: "SignatureDoesNotMatch", Message: `x-acs-security-token:${STS}` }, { status: 400 });
      const error = await failure("echo", { ...find, securityToken: STS, fetch });
      expect(error.message).toContain("x-acs-security-token:[redacted]");
      expect(inspect(error, { depth: 9 })).not.toContain(STS);
    });
  });

  test.each<[string, string, FindServiceOptions, RegExp]>([
    ["an empty name", "", {}, /the name is ""/],
    ["a name with a slash", "a/b", {}, /the name is "a\/b"/],
    ["a region that is a host", "s", { region: "evil.example.com#" }, /region is "evil\.example\.com#"/],
    ["no region", "s", { region: "" }, /pass the region option, .* or set ALIBABA_CLOUD_REGION_ID/],
    ["an unknown network", "s", { network: "public" as "internet" }, /network is "public": it must be "internet"/],
    ["an unknown option", "s", { regoin: "x" } as FindServiceOptions, /regoin/],
    ["no AccessKey", "s", { accessKeyId: "" }, /accessKeyId is missing: pass .* or set ALIBABA_CLOUD_ACCESS_KEY_ID/],
    ["a secret with a line break", "s", { accessKeySecret: "a\nb" }, /^accessKeySecret is not valid/],
    ["plain http", "s", { controlEndpoint: "http://pai-eas.example.com" }, /Plain HTTP is allowed only for loopback/],
    ["both forms of credentials", "s", { credentials: async () => ({}) as never }, /are both set/],
  ])("refuses %s before it sends anything", async (_, name, options, message) => {
    const { emulator, find } = setUp();
    const error = await failure(name, { ...find, ...options });
    expect(error.message).toMatch(message);
    expect(error).toBeInstanceOf(TypeError);
    expect(emulator.requests).toEqual([]);
  });

  test("retries server errors, and no refusals", async () => {
    const { emulator, find } = setUp();
    const statuses = [503, 429];
    let sent = 0;
    const fetch: typeof globalThis.fetch = async (input, init) => {
      sent++;
      const status = statuses.shift();
      return status === undefined ? emulator.fetch(new Request(input as URL, init)) : new Response("busy", { status });
    };
    // Hashing is asynchronous, so the clock advances until the look-up is done.
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      let isDone = false;
      const found = findService("echo", { ...find, fetch, retryCount: 2, timeout: 2_147_483_647 });
      const done = found.finally(() => {
        isDone = true;
      });
      while (!isDone) {
        vi.advanceTimersByTime(500);
        await new Promise(setImmediate);
      }
      expect((await done).serviceName).toBe("echo");
    } finally {
      vi.useRealTimers();
    }
    expect(sent).toBe(3);
    await failure("echo", { ...find, accessKeySecret: "wrong", fetch, retryCount: 2 });
    expect(sent).toBe(4);
  });

  test("rejects with the signal's reason, and reports an unreachable control plane", async () => {
    const { find } = setUp();
    const reason = new Error("stop");
    expect(await failure("echo", { ...find, signal: AbortSignal.abort(reason) })).toBe(reason);
    const offline = await failure("echo", {
      ...find,
      fetch: undefined,
      controlEndpoint: "http://127.0.0.1:1",
    });
    expect(offline).toBeInstanceOf(EasError);
    expect(offline.message).toMatch(/^127\.0\.0\.1:1 cannot be reached: /);
  });

  test.each([
    ["HTML", "<html>", /the response to DescribeService is not a JSON object: "<html>"/],
    ["a list", "[]", /is not a JSON object/],
    ["an object without a name", "{}", /lacks ServiceName/],
    ["larger than the limit", "x".repeat(16 * 1024 * 1024 + 1), /is larger than 16777216 bytes/],
  ])("refuses a response that is %s", async (_, body, message) => {
    const { find } = setUp();
    expect((await failure("echo", { ...find, fetch: async () => new Response(body) })).message).toMatch(message);
  });
});

describe("listServices", () => {
  test("reads all pages, and sends the filters", async () => {
    const services = Object.fromEntries(Array.from({ length: 230 }, (_, i) => [`service-${i}`, () => ""]));
    const { emulator, find } = setUp({ services });
    const { region, ...rest } = find;
    const options = { ...rest, region: region as string };
    const names: string[] = [];
    for await (const { serviceName } of listServices({ ...options, nameContains: "service-" })) names.push(serviceName);
    expect(names.length).toBe(230);
    expect(emulator.requests.length).toBe(3);
    expect(emulator.requests[2]?.url).toBe("/api/v2/services?Filter=service-&PageNumber=3&PageSize=100");
  });

  test("stops reading when the loop ends", async () => {
    const services = Object.fromEntries(Array.from({ length: 230 }, (_, i) => [`service-${i}`, () => ""]));
    const { emulator, find } = setUp({ services });
    for await (const _ of listServices({ ...find, region: "cn-hangzhou" })) break;
    expect(emulator.requests.length).toBe(1);
  });

  test("does not loop if the service reports a wrong total", async () => {
    const { find } = setUp();
    const fetch = async () => Response.json({ Services: [], TotalCount: 1_000 });
    const found = [];
    for await (const service of listServices({ ...find, region: "cn-hangzhou", fetch })) found.push(service);
    expect(found).toEqual([]);
  });
});
