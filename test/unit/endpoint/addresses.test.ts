import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createEmulator } from "../../../src/emulator/index.js";
import {
  AsyncInferenceClient,
  type CallOptions,
  PredictClient,
  type PredictClientOptions,
  QueueClient,
} from "../../../src/index.js";
import { errorOf, RecordingTransport, TOKEN, thrownBy } from "../../support/calls.js";

/** The first request that a client with these options sends. */
async function sentBy(options: PredictClientOptions, call?: CallOptions) {
  const transport = new RecordingTransport();
  await new PredictClient({ transport, token: TOKEN, logger: null, ...options }).predict("x", call);
  const [request] = transport.requests;
  return { to: `${request?.origin} ${request?.path}`, authorization: transport.header("authorization") };
}

const UID = "1234567890123456";
const EAS = "pai-eas.aliyuncs.com";
const GATEWAY = "gw-gqqd25no78ncp72xfw";

/** The forms in which the console shows the address of the service "chat". */
const FORMS = {
  "shared gateway": { host: `${UID}.cn-shanghai.${EAS}`, path: "/api/predict/chat" },
  "shared gateway in a VPC": { host: `${UID}.vpc.cn-shanghai.${EAS}`, path: "/api/predict/chat" },
  "host of the service": { host: `chat.${UID}.cn-shanghai.${EAS}`, path: "/" },
  "host of the service in a VPC": { host: `chat.${UID}.vpc.cn-shanghai.${EAS}`, path: "/" },
  "host of the service on a dedicated gateway": { host: `chat.${GATEWAY}.cn-hangzhou.${EAS}`, path: "/" },
  "the same in a VPC": { host: `chat.${GATEWAY}-${UID}-vpc.cn-hangzhou.${EAS}`, path: "/" },
  "dedicated gateway": { host: `${GATEWAY}.cn-shanghai.${EAS}`, path: "/api/predict/chat" },
  "dedicated gateway in a VPC": { host: `${GATEWAY}-vpc.ap-southeast-1.${EAS}`, path: "/api/predict/chat" },
  NLB: { host: "nlb-x1y2.cn-hangzhou.nlb.aliyuncs.com", path: "/api/predict/chat", port: 9090 },
  "custom domain": { host: "eas.example.com", path: "/api/predict/chat" },
} as const satisfies Record<string, { host: string; path: string; port?: number }>;

const SERVICE_HOST = FORMS["host of the service"].host;

describe("the forms of the console", () => {
  test.each(Object.entries(FORMS))("%s, as it is shown", async (_, form) => {
    const port = "port" in form ? `:${form.port}` : "";
    const origin = `http://${form.host}${port}`;
    expect((await sentBy({ endpoint: origin + form.path })).to).toBe(`${origin} ${form.path}`);
  });

  test.each(Object.entries(FORMS))("%s: however it is pasted, calls go to the same place", async (_, form) => {
    const letters = (text: string) =>
      fc
        .array(fc.boolean(), { minLength: text.length, maxLength: text.length })
        .map((upper) => [...text].map((letter, i) => (upper[i] ? letter.toUpperCase() : letter)).join(""));
    const isOfService = form.path === "/";
    const pasted = fc.record({
      scheme: fc.constantFrom("", "http://", "https://", "HTTP://", "Https://"),
      host: letters(form.host),
      port: "port" in form ? fc.constant(form.port) : fc.constantFrom(undefined, 80, 443, 8080),
      path: fc.constantFrom("/api/predict/chat", ...(isOfService ? ["", "/api/predict"] : [])),
      slashes: fc.constantFrom("", "/", "//"),
      blanks: fc.constantFrom("", " ", "\n"),
      serviceName: fc.constantFrom(undefined, "chat", ...(isOfService ? ["Chat"] : [])),
      call: fc.constantFrom(undefined, "", "/v1/chat/completions", "v1/models?a=b"),
    });
    await fc.assert(
      fc.asyncProperty(pasted, async ({ scheme, host, port, path, slashes, blanks, serviceName, call }) => {
        const endpoint = `${blanks}${scheme}${host}${port === undefined ? "" : `:${port}`}${path}${slashes}${blanks}`;
        const { origin } = new URL(`${scheme || "http://"}${form.host}${port === undefined ? "" : `:${port}`}`);
        const base = form.path.replace(/\/$/, "");
        const behind = call === undefined || call === "" ? form.path : `${base}/${call.replace(/^\//, "")}`;
        const { to } = await sentBy({ endpoint, ...(serviceName && { serviceName }) }, { path: call });
        expect(to).toBe(`${origin} ${behind}`);
      }),
      { numRuns: 60 },
    );
  });

  test.each([
    ["my_chat", "my-chat"],
    ["my-chat", "my-chat"],
    ["My_Chat", "my-chat"],
    ["group.chat", "group.chat"],
    ["group.chat", "group-chat"],
  ])("serviceName %s agrees with the host %s", async (serviceName, label) => {
    const host = `${label}.${UID}.cn-shanghai.${EAS}`;
    expect((await sentBy({ endpoint: host, serviceName })).to).toBe(`http://${host} /`);
    expect((await sentBy({ endpoint: `${host}/api/predict/${serviceName}` })).to).toBe(`http://${host} /`);
  });

  test("a service's name may be a number", async () => {
    const host = `7.${UID}.cn-shanghai.${EAS}`;
    expect((await sentBy({ endpoint: host })).to).toBe(`http://${host} /`);
  });

  test("a model of the service follows the host", async () => {
    const { to } = await sentBy({ endpoint: SERVICE_HOST, serviceName: "chat/v2" }, { path: "/x" });
    expect(to).toBe(`http://${SERVICE_HOST} /v2/x`);
  });

  test("a host that only resembles one of EAS is a gateway like any other", async () => {
    const endpoint = `chat.${UID}.cn-shanghai.${EAS}.example.com`;
    expect((await sentBy({ endpoint, serviceName: "a" })).to).toBe(`http://${endpoint} /api/predict/a`);
  });
});

describe("the host of a service", () => {
  test("is sent the raw token by default, and Bearer or a signature on demand", async () => {
    expect((await sentBy({ endpoint: SERVICE_HOST })).authorization).toBe(TOKEN);
    expect((await sentBy({ endpoint: SERVICE_HOST, auth: "bearer" })).authorization).toBe(`Bearer ${TOKEN}`);
    expect((await sentBy({ endpoint: SERVICE_HOST, auth: "signature" })).authorization).toMatch(/^EAS /);
  });

  test.each([SERVICE_HOST, `chat.${UID}.vpc.cn-shanghai.${EAS}`])(
    "%s has the body limit of its gateway",
    async (endpoint) => {
      const client = new PredictClient({ endpoint, token: TOKEN, transport: new RecordingTransport() });
      const error = await errorOf(client.predict(new Uint8Array(1024 * 1024 + 1)));
      expect(error).toMatchObject({ name: "RangeError", code: "ERR_EAS_ARG_BODY_SIZE" });
      expect(error.message).toContain("shared gateway");
    },
  );

  test("has no body limit on a dedicated gateway", async () => {
    const endpoint = FORMS["host of the service on a dedicated gateway"].host;
    const client = new PredictClient({ endpoint, token: TOKEN, transport: new RecordingTransport() });
    expect(String(await client.predict("x".repeat(1024 * 1024 + 1)))).toBe("ok");
  });

  test("openai() and fetch begin at the host", async () => {
    const { transport, requests } = createEmulator({
      services: { chat: { handle: () => "ok", methods: ["GET"] } },
      token: "",
    });
    const client = new PredictClient({ endpoint: `https://${SERVICE_HOST}/`, token: TOKEN, transport });
    const { baseURL, fetch } = client.openai();
    expect(baseURL).toBe(`https://${SERVICE_HOST}/v1`);
    expect((await fetch(`${baseURL}/models`)).url).toBe(`https://${SERVICE_HOST}/v1/models`);
    await client.fetch("/v1/models");
    expect(requests.map(({ url }) => url)).toEqual(["/v1/models", "/v1/models"]);
  });

  test("has no other service", () => {
    const error = thrownBy(() => new PredictClient({ endpoint: SERVICE_HOST, token: TOKEN }).service("other"));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_SERVICE_NAME" });
    expect(error.message).toBe(
      `service(): the endpoint "${SERVICE_HOST}" leads to the service "chat" only; set the endpoint to the gateway ${UID}.cn-shanghai.${EAS}, or create another client`,
    );
  });

  test("cannot be called directly", async () => {
    for (const endpointSource of [undefined, async () => []]) {
      const error = await errorOf(
        sentBy({ endpoint: SERVICE_HOST, endpointType: "DIRECT", ...(endpointSource && { endpointSource }) }),
      );
      expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_ENDPOINT" });
      expect(error.message).toBe(
        `endpoint "${SERVICE_HOST}" is the host of one service: for ENDPOINT_TYPE_DIRECT, set it to the region's discovery service, for example "pai-eas-vpc.cn-shanghai.aliyuncs.com", and set serviceName`,
      );
    }
  });

  test.each([
    [{ queueName: "chat/sink" }, "chat/sink"],
    [{}, "chat"],
  ])("has no queue: %j", async (options, queueName) => {
    const client = new QueueClient({
      endpoint: SERVICE_HOST,
      token: TOKEN,
      transport: new RecordingTransport(),
      ...options,
    });
    const error = await errorOf(client.put("x"));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_ENDPOINT" });
    expect(error.message).toBe(
      `endpoint "${SERVICE_HOST}" is the host of a service, but queues are behind the gateway: set endpoint to ${UID}.cn-shanghai.${EAS} and queueName to "${queueName}", or set customUrl to the queue's own URL`,
    );
  });

  test("has no asynchronous inference", async () => {
    const client = new AsyncInferenceClient({
      endpoint: SERVICE_HOST,
      serviceName: "chat",
      token: TOKEN,
      transport: new RecordingTransport(),
    });
    expect((await errorOf(client.submit("x"))).message).toContain('queueName to "chat"');
  });

  test("may be a queue's customUrl", async () => {
    const { transport, queue } = createEmulator({ queues: { chat: {}, "chat/sink": {} }, token: "" });
    for (const path of ["", "/", "/sink"]) {
      await new QueueClient({ customUrl: `http://${SERVICE_HOST}${path}`, token: TOKEN, transport }).put("x");
    }
    expect([queue("chat")?.input.length, queue("chat/sink")?.input.length]).toEqual([2, 1]);
  });
});

describe("a path pasted behind the service", () => {
  const P = "/api/predict/chat";
  const gateway = FORMS["shared gateway"].host;

  test.each([
    [`http://${SERVICE_HOST}/v1`, undefined, "/v1"],
    [`http://${SERVICE_HOST}/v1/`, undefined, "/v1"],
    [`http://${SERVICE_HOST}/v1/chat/completions`, undefined, "/v1/chat/completions"],
    [`http://${SERVICE_HOST}/v1/chat/completions`, "/v1/models", "/v1/models"],
    [`http://${SERVICE_HOST}/sdapi/v1/txt2img`, undefined, "/sdapi/v1/txt2img"],
    [`http://${SERVICE_HOST}/sdapi/v1/txt2img`, "/sdapi/v1/options", "/sdapi/v1/options"],
    [`http://${SERVICE_HOST}/a%20b/模`, undefined, "/a%20b/%E6%A8%A1"],
    [`http://${SERVICE_HOST}${P}/v1/chat/completions`, undefined, "/v1/chat/completions"],
    [`http://${gateway}${P}/v1`, undefined, `${P}/v1`],
    [`http://${gateway}${P}/v1/`, "/v1/models", `${P}/v1/models`],
    [`http://${gateway}${P}/v1/chat/completions`, undefined, `${P}/v1/chat/completions`],
    [`http://${gateway}${P}/v1/chat/completions`, "/v1/models", `${P}/v1/models`],
    [`http://${gateway}${P}/v1/chat/completions`, "", P],
    [`http://nlb:9090${P}/v1`, "/v1/models", `${P}/v1/models`],
  ])("%s is where calls without a path go; a call with path %s goes to %s", async (endpoint, path, sent) => {
    expect((await sentBy({ endpoint }, path === undefined ? undefined : { path })).to).toBe(
      `${new URL(endpoint).origin} ${sent}`,
    );
  });

  test.each([`http://${SERVICE_HOST}/v1`, `http://${SERVICE_HOST}/v1/chat/completions`, `http://${gateway}${P}/v1/`])(
    "%s: openai() has one /v1",
    (endpoint) => {
      const base = endpoint.startsWith(`http://${gateway}`) ? P : "";
      expect(new PredictClient({ endpoint, token: TOKEN }).openai().baseURL).toBe(
        `${new URL(endpoint).origin}${base}/v1`,
      );
    },
  );

  test("openai() has one /v1 behind a customUrl that ends with it", async () => {
    const { transport, requests } = createEmulator({ token: "" });
    const client = new PredictClient({
      customUrl: "http://h/api/predict/llm/v1/",
      token: TOKEN,
      transport,
      logger: null,
    });
    const { baseURL, fetch } = client.openai();
    expect(baseURL).toBe("http://h/api/predict/llm/v1");
    expect((await fetch(`${baseURL}/models`)).status).toBe(200);
    expect(requests.map(({ url }) => url)).toEqual(["/api/predict/llm/v1/models"]);
  });

  test("a model named v1 is asked for by serviceName", async () => {
    const { to } = await sentBy({ endpoint: `http://${gateway}${P}/v1`, serviceName: "chat/v1" }, { path: "/x" });
    expect(to).toBe(`http://${gateway} ${P}/v1/x`);
    expect((await sentBy({ endpoint: gateway, serviceName: "chat/v1" }, { path: "/x" })).to).toBe(
      `http://${gateway} ${P}/v1/x`,
    );
  });

  test("agrees with the service's name", async () => {
    expect((await sentBy({ endpoint: `http://${gateway}${P}/v1`, serviceName: "chat" })).to).toBe(
      `http://${gateway} ${P}/v1`,
    );
  });

  test("service() drops it", async () => {
    const transport = new RecordingTransport();
    const client = new PredictClient({ endpoint: `http://${gateway}${P}/v1`, token: TOKEN, transport });
    await client.service("other").predict("x");
    expect(transport.requests[0]?.path).toBe("/api/predict/other");
  });

  test("may be repeated by requestPath, and must not contradict it", async () => {
    const endpoint = `http://${SERVICE_HOST}/v1/chat/completions`;
    expect((await sentBy({ endpoint, requestPath: "v1/chat/completions" })).to).toBe(
      `http://${SERVICE_HOST} /v1/chat/completions`,
    );
    const error = await errorOf(sentBy({ endpoint, requestPath: "/generate" }));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_PATH" });
    expect(error.message).toBe(
      'requestPath is "/generate", but the endpoint has the path "/v1/chat/completions": leave one out',
    );
  });

  test.each([
    ["/v1", undefined],
    ["/v1/chat/completions", "chat"],
    ["/chat", "chat"],
    ["/v1/api/predict/chat", undefined],
  ])("a gateway of EAS has no path %s", (path, serviceName) => {
    const error = thrownBy(
      () => new PredictClient({ endpoint: `http://${gateway}${path}`, ...(serviceName && { serviceName }) }),
    );
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_ENDPOINT" });
    expect(error.message).toBe(
      `endpoint "http://${gateway}${path}" has the path "${path.replace(/\/api.*/, "")}", but a gateway has only /api/predict/<service>: pass other paths in the path option of the call`,
    );
  });
});

describe("an address with two service names", () => {
  test.each<[string, PredictClientOptions, string]>([
    [
      "host and serviceName",
      { endpoint: SERVICE_HOST, serviceName: "other" },
      'serviceName is "other", but the endpoint names the service "chat": leave one out',
    ],
    [
      "host and a longer serviceName",
      { endpoint: SERVICE_HOST, serviceName: "other/v2" },
      'serviceName is "other/v2", but the endpoint names the service "chat": leave one out',
    ],
    [
      "host and path",
      { endpoint: `${SERVICE_HOST}/api/predict/other/v1` },
      `endpoint "${SERVICE_HOST}/api/predict/other/v1" names two services, "chat" by its host and "other" by its path: leave out the path, or use the host ${UID}.cn-shanghai.${EAS}`,
    ],
    [
      "path and serviceName",
      { endpoint: "h/api/predict/chat", serviceName: "other" },
      'serviceName is "other", but the endpoint names the service "chat": leave one out',
    ],
    [
      "path with /v1 and serviceName",
      { endpoint: "h/api/predict/chat/v1", serviceName: "other" },
      'serviceName is "other", but the endpoint names the service "chat": leave one out',
    ],
    [
      "two in the path",
      { endpoint: "h/api/predict/chat/api/predict/other" },
      'endpoint "h/api/predict/chat/api/predict/other" has /api/predict/ twice: name one service',
    ],
  ])("%s", (_, options, message) => {
    const error = thrownBy(() => new PredictClient(options));
    expect(error.name).toBe("TypeError");
    expect(error.message).toBe(message);
  });

  test("a host and a name that a setter gave", async () => {
    const client = new PredictClient({ endpoint: SERVICE_HOST, transport: new RecordingTransport() }).setServiceName(
      "other",
    );
    expect((await errorOf(client.predict("x"))).code).toBe("ERR_EAS_ARG_SERVICE_NAME");
  });
});

test("a gateway without a service says what is missing", async () => {
  const error = await errorOf(sentBy({ endpoint: FORMS["dedicated gateway"].host }));
  expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_SERVICE_NAME" });
  expect(error.message).toBe(
    `serviceName is empty, and the endpoint "${FORMS["dedicated gateway"].host}" does not contain one: set serviceName (or the variable EAS_SERVICE_NAME), or customUrl for a server that is not behind an EAS gateway`,
  );
});

describe("errors show the URL that was sent", () => {
  test.each<[PredictClientOptions, CallOptions | undefined, string]>([
    [{ customUrl: "http://h/" }, { path: "/v1/x" }, "POST http://h/v1/x"],
    [{ customUrl: "http://h/a/" }, { path: "v1" }, "POST http://h/a/v1"],
    [{ customUrl: "http://h/a?k=secret" }, { path: "v1?q=secret" }, "POST http://h/a/v1"],
    [{ endpoint: SERVICE_HOST }, { path: "/v1/x" }, `POST http://${SERVICE_HOST}/v1/x`],
    [{ endpoint: SERVICE_HOST }, undefined, `POST http://${SERVICE_HOST}/`],
    [{ endpoint: "h", serviceName: "svc" }, { path: "/v1/x" }, "POST http://h/api/predict/svc/v1/x"],
  ])("%j, %j: %s", async (options, call, name) => {
    const paths: string[] = [];
    const transport = new RecordingTransport(() => ({
      status: 400,
      headers: new Headers(),
      body: new Uint8Array(0),
      contentEncoding: undefined,
    }));
    const hooks = { onStart: () => {}, start: ({ path }: { path: string }) => void paths.push(path) };
    const client = new PredictClient({ token: TOKEN, transport, hooks: { start: hooks.start } as never, ...options });
    const error = await errorOf(client.predict("x", call));
    expect(error.message).toContain(`${name} `);
    expect(error.message).not.toContain("secret");
    expect(paths).toEqual([new URL(name.slice(5)).pathname]);
  });
});
