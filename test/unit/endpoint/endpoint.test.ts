import { afterEach, describe, expect, test, vi } from "vitest";
import { gatewayTarget } from "../../../src/endpoint/parse-endpoint.js";
import { type CallOptions, PredictClient, type PredictClientOptions } from "../../../src/index.js";
import { errorOf, RecordingTransport, startServer } from "../../support/calls.js";

afterEach(() => {
  vi.unstubAllEnvs();
});

/** Where a call goes: origin and path in one text. */
async function sentTo(options: PredictClientOptions, call?: CallOptions): Promise<string> {
  const transport = new RecordingTransport();
  await new PredictClient({ transport, token: "tok-1", ...options }).predict("x", call);
  const [request] = transport.requests;
  return `${request?.origin} ${request?.path}`;
}

describe("where a call goes", () => {
  const P = "/api/predict";
  const host = "1234.cn-shanghai.pai-eas.aliyuncs.com";
  const svc = "svc";
  const rows: [name: string, options: PredictClientOptions, sent: string, call?: CallOptions][] = [
    ["host alone", { endpoint: host, serviceName: svc }, `http://${host} ${P}/svc`],
    ["http", { endpoint: `http://${host}`, serviceName: svc }, `http://${host} ${P}/svc`],
    ["https stays https", { endpoint: `https://${host}`, serviceName: svc }, `https://${host} ${P}/svc`],
    ["scheme in capitals", { endpoint: `HTTPS://${host}`, serviceName: svc }, `https://${host} ${P}/svc`],
    ["slash at its end", { endpoint: `http://${host}/`, serviceName: svc }, `http://${host} ${P}/svc`],
    ["slashes at its end", { endpoint: `http://${host}///`, serviceName: svc }, `http://${host} ${P}/svc`],
    ["host and slash", { endpoint: `${host}/`, serviceName: svc }, `http://${host} ${P}/svc`],
    ["blanks around it", { endpoint: ` ${host}\n`, serviceName: svc }, `http://${host} ${P}/svc`],
    ["port", { endpoint: "localhost:8080", serviceName: svc }, `http://localhost:8080 ${P}/svc`],
    ["default port", { endpoint: `http://${host}:80`, serviceName: svc }, `http://${host} ${P}/svc`],
    ["default port of https", { endpoint: `https://${host}:443/`, serviceName: svc }, `https://${host} ${P}/svc`],
    ["443 over http", { endpoint: `http://${host}:443`, serviceName: svc }, `http://${host}:443 ${P}/svc`],
    ["IPv4", { endpoint: "10.0.0.1:9000", serviceName: svc }, `http://10.0.0.1:9000 ${P}/svc`],
    ["IPv6", { endpoint: "http://[::1]:9000", serviceName: svc }, `http://[::1]:9000 ${P}/svc`],
    ["console URL", { endpoint: `http://${host}${P}/svc` }, `http://${host} ${P}/svc`],
    ["console URL and the same name", { endpoint: `${host}${P}/svc/`, serviceName: svc }, `http://${host} ${P}/svc`],
    ["console URL over https", { endpoint: `https://${host}${P}/g.svc/` }, `https://${host} ${P}/g.svc`],
    ["console URL with a sub-name", { endpoint: `${host}${P}/svc/v2` }, `http://${host} ${P}/svc/v2`],
    ["console URL, encoded", { endpoint: `${host}${P}/%E6%A8%A1` }, `http://${host} ${P}/%E6%A8%A1`],
    ["console URL, Chinese", { endpoint: `${host}${P}/模` }, `http://${host} ${P}/%E6%A8%A1`],
    ["console URL cut after predict", { endpoint: `${host}${P}/`, serviceName: svc }, `http://${host} ${P}/svc`],
    ["console URL cut before the slash", { endpoint: `${host}${P}`, serviceName: svc }, `http://${host} ${P}/svc`],
    ["prefix", { endpoint: `https://proxy/eas/a`, serviceName: svc }, `https://proxy /eas/a${P}/svc`],
    ["prefix and slash", { endpoint: `https://proxy/eas/`, serviceName: svc }, `https://proxy /eas${P}/svc`],
    ["prefix of a console URL", { endpoint: `https://proxy/eas${P}/svc` }, `https://proxy /eas${P}/svc`],
    ["group", { endpoint: host, serviceName: "group.svc" }, `http://${host} ${P}/group.svc`],
    ["sub-name", { endpoint: host, serviceName: "svc/sink" }, `http://${host} ${P}/svc/sink`],
    ["Chinese name", { endpoint: host, serviceName: "模型" }, `http://${host} ${P}/%E6%A8%A1%E5%9E%8B`],
    ["name with a blank inside", { endpoint: host, serviceName: "a b" }, `http://${host} ${P}/a%20b`],
    ["name with %", { endpoint: host, serviceName: "100%" }, `http://${host} ${P}/100%25`],
    ["custom URL", { customUrl: "http://h:9/a/b" }, "http://h:9 /a/b"],
    ["custom URL without a path", { customUrl: "https://h" }, "https://h /"],
    ["custom URL without a scheme", { customUrl: "h/a" }, "http://h /a"],
    ["custom URL with a slash", { customUrl: "https://h/a/" }, "https://h /a/"],
    ["custom URL with a query", { customUrl: "https://h/a?k=v" }, "https://h /a?k=v"],
    [
      "custom URL above endpoint and name",
      { customUrl: "https://h/a", endpoint: host, serviceName: svc },
      "https://h /a",
    ],
    ["custom URL with a query, and a path", { customUrl: "https://h/a?k=v" }, "https://h /a/b?k=v", { path: "b" }],
    [
      "custom URL with a query, a path and a query",
      { customUrl: "https://h/a?k=v" },
      "https://h /a/b?k=v&p=1&q=2",
      { path: "/b?p=1", query: { q: 2 } },
    ],
    ["custom URL without a path, and a path", { customUrl: "https://h" }, "https://h /v1/chat", { path: "/v1/chat" }],
    ["custom URL with a slash, and a path", { customUrl: "https://h/a/" }, "https://h /a/v1", { path: "v1" }],
    ["path", { endpoint: "h", serviceName: svc }, `http://h ${P}/svc/v1/x`, { path: "/v1/x" }],
    ["path without a slash", { endpoint: "h", serviceName: svc }, `http://h ${P}/svc/v1`, { path: "v1" }],
    ["empty path", { endpoint: "h", serviceName: svc }, `http://h ${P}/svc`, { path: "" }],
    ["path with a slash at its end", { endpoint: "h", serviceName: svc }, `http://h ${P}/svc/a/`, { path: "/a/" }],
    ["path that is a query", { endpoint: "h", serviceName: svc }, `http://h ${P}/svc?a=1`, { path: "?a=1" }],
    ["path with a query", { endpoint: "h", serviceName: svc }, `http://h ${P}/svc/p?a=1`, { path: "p?a=1" }],
    [
      "path and query of the call",
      { endpoint: "h", serviceName: svc },
      `http://h ${P}/svc/p?a=1&b=2`,
      { path: "p?a=1", query: { b: 2 } },
    ],
    [
      "kinds of query values",
      { endpoint: "h", serviceName: svc },
      `http://h ${P}/svc?s=a%20b%26c%3D%2F%3F%23&n=1.5&t=true&i=9007199254740993&bare&e=`,
      { query: { s: "a b&c=/?#", n: 1.5, t: true, i: 9007199254740993n, bare: null, e: "", u: undefined } as never },
    ],
    [
      "query keys and values in Chinese",
      { endpoint: "h", serviceName: svc },
      `http://h ${P}/svc?%E9%94%AE=%E5%80%BC`,
      { query: { 键: "值" } },
    ],
    ["path in Chinese", { endpoint: "h", serviceName: svc }, `http://h ${P}/svc/%E8%B7%AF`, { path: "/路" }],
    ["escapes stay", { endpoint: "h", serviceName: svc }, `http://h ${P}/svc/a%2Fb%20c`, { path: "/a%2Fb c" }],
    ["a lone % is escaped", { endpoint: "h", serviceName: svc }, `http://h ${P}/svc/50%25?x=%25`, { path: "/50%?x=%" }],
    ["dots in names", { endpoint: "h", serviceName: svc }, `http://h ${P}/svc/a..b/.c`, { path: "/a..b/.c" }],
    ["dots in a query", { endpoint: "h", serviceName: svc }, `http://h ${P}/svc/a?f=../b`, { path: "/a?f=../b" }],
    ["requestPath", { endpoint: "h", serviceName: svc, requestPath: "v1" }, `http://h ${P}/svc/v1`],
    [
      "path of the call in the place of requestPath",
      { endpoint: "h", serviceName: svc, requestPath: "/v1" },
      `http://h ${P}/svc/v2`,
      { path: "/v2" },
    ],
    [
      "query of the call behind requestPath",
      { endpoint: "h", serviceName: svc, requestPath: "/v1?a=1" },
      `http://h ${P}/svc/v1?a=1&b=2`,
      { query: { b: 2 } },
    ],
    [
      "empty path of the call takes requestPath away",
      { endpoint: "h", serviceName: svc, requestPath: "/v1" },
      `http://h ${P}/svc`,
      { path: "" },
    ],
  ];

  test.each(rows)("%s", async (_, options, sent, call) => {
    expect(await sentTo(options, call)).toBe(sent);
  });

  test("what is sent is what arrives", async () => {
    const server = await startServer();
    const client = new PredictClient({ endpoint: `${server.origin}/pre//`, serviceName: "模/型", token: "tok-1" });
    await client.predict("x", { path: "a b/ü?q=ä b", query: { "k&": "v=" } });
    await client.close();
    expect(server.requests[0]?.path).toBe("/pre/api/predict/%E6%A8%A1/%E5%9E%8B/a%20b/%C3%BC?q=%C3%A4%20b&k%26=v%3D");
  });

  test("headers of client, request and call, the later above the earlier", async () => {
    const transport = new RecordingTransport();
    const client = new PredictClient({
      endpoint: "h",
      serviceName: "s",
      transport,
      headers: { "X-A": "1", "X-B": "1" },
    });
    const request = { contentType: "text/own", toBinary: () => new Uint8Array(0), parseResponse: () => 1 };
    const typeOf = async (...args: [typeof request, CallOptions?]) => {
      await client.predict(...args);
      return transport.header("content-type");
    };
    await client.predict("x", { headers: [["x-b", "2"]] });
    expect(transport.requests[0]?.headers).toEqual([
      ["x-a", "1"],
      ["x-b", "2"],
      ["content-type", "application/octet-stream"],
    ]);
    expect(await typeOf(request)).toBe("text/own");
    expect(await typeOf(request, { headers: { "Content-Type": "text/call" } })).toBe("text/call");
    client.addExtraHeaders({ "content-TYPE": "text/header" });
    expect(await typeOf(request)).toBe("text/header");
    client.setContentType("text/client");
    expect(await typeOf(request)).toBe("text/client");
    expect(await typeOf(request, { headers: { "Content-Type": "text/call" } })).toBe("text/call");
  });
});

describe("inside an EAS instance", () => {
  test("NAMESPACE and POD_NAME find the service", async () => {
    vi.stubEnv("NAMESPACE", "eas-ns");
    vi.stubEnv("POD_NAME", "svc-7d9f-abcde");
    expect(await sentTo({ serviceName: "svc" })).toBe("http://svc.eas-ns:8080 /api/predict/svc");
    expect(await sentTo({ serviceName: "my_svc/v2" })).toBe("http://my-svc.eas-ns:8080 /api/predict/my_svc/v2");
    expect(await sentTo({ serviceName: "Svc" })).toBe("http://svc.eas-ns:8080 /api/predict/Svc");
    expect(await sentTo({ serviceName: "svc", endpoint: "h" })).toBe("http://h /api/predict/svc");
  });

  test.each([
    ["", "svc"],
    ["evil/..", "svc"],
    ["a@b", "svc"],
    ["ns", "模"],
  ])("NAMESPACE %j, service %j: refused", async (namespace, serviceName) => {
    vi.stubEnv("NAMESPACE", namespace);
    vi.stubEnv("POD_NAME", "svc-7d9f-abcde");
    const error = await errorOf(sentTo({ serviceName }));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_ENDPOINT" });
    expect(error.message).toContain("NAMESPACE");
  });

  test.each([
    ["default", "pod-1"],
    ["kube-system", "pod-1"],
    ["eas-ns", undefined],
    ["eas-ns", ""],
    [undefined, "pod-1"],
  ])("NAMESPACE %j, POD_NAME %j: an endpoint is asked for", async (namespace, pod) => {
    vi.stubEnv("NAMESPACE", namespace);
    vi.stubEnv("POD_NAME", pod);
    const error = await errorOf(sentTo({ serviceName: "echo" }));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_ENDPOINT" });
    expect(error.message).toMatch(/^endpoint is empty: set it \(or the variable EAS_ENDPOINT\) to the gateway/);
  });
});

describe("what a signature names", () => {
  const env = () => undefined;

  test.each([
    [{ endpoint: "http://h/pre", serviceName: "模/v2" }, "/api/predict/模/v2"],
    [{ endpoint: "http://h/api/predict/%E6%A8%A1" }, "/api/predict/模"],
    [{ customUrl: "http://h/a/b?c=1" }, "/a/b"],
  ])("%j", (options, resource) => {
    expect(gatewayTarget(options, env).resource).toBe(resource);
  });

  test("rejects a URL that contradicts the service name", async () => {
    const client = new PredictClient({ endpoint: "h", serviceName: "a", transport: new RecordingTransport() });
    client.setEndpoint("http://h/api/predict/b");
    expect((await errorOf(client.predict("x"))).code).toBe("ERR_EAS_ARG_SERVICE_NAME");
  });
});
