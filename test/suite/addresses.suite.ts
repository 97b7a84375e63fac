import { PredictClient, type PredictClientOptions } from "eas-prediction";
import { createEmulator } from "eas-prediction/emulator/memory";
import { expect, rejection } from "./expect.js";
import { type TestContext, test } from "./harness.js";

const REGION = "cn-shanghai.pai-eas.aliyuncs.com";
/** Addresses of the service "my_chat" as shown by the console, each with the request path it leads to. */
const ADDRESSES: readonly (readonly [address: string, path: string])[] = [
  [`http://1234.${REGION}/api/predict/my_chat`, "/api/predict/my_chat"],
  [`http://1234.vpc.${REGION}/api/predict/my_chat`, "/api/predict/my_chat"],
  [`http://my-chat.1234.${REGION}/`, "/"],
  [`http://my-chat.1234.vpc.${REGION}/`, "/"],
  [`http://my-chat.gw-x1y2-1234-vpc.${REGION}/`, "/"],
  [`http://gw-x1y2.${REGION}/api/predict/my_chat`, "/api/predict/my_chat"],
  ["http://nlb-x1y2.cn-shanghai.nlb.aliyuncs.com:9090/api/predict/my_chat", "/api/predict/my_chat"],
];

/** A client over an emulator in memory that serves every host. */
function open(test: TestContext, options: PredictClientOptions) {
  const emulator = createEmulator({
    services: { my_chat: { methods: ["GET", "POST"], handle: ({ path }) => JSON.stringify(path) } },
    token: "token-of-my-chat",
  });
  const { transport, token, requests } = emulator;
  return { requests, client: test.closing(new PredictClient({ transport, token, logger: null, ...options })) };
}

for (const [address, path] of ADDRESSES) {
  test("addresses", `accepts ${address} in all spellings`, async (test) => {
    for (const pasted of [address, address.slice("http://".length), address.toUpperCase().replace(/\/API.*/, path)]) {
      for (const endpoint of [pasted, `${pasted.replace(/\/$/, "")}`, `${pasted.replace(/\/$/, "")}//`]) {
        const { client, requests } = open(test, { endpoint });
        expect((await client.predict("x")).json()).to.equal("");
        expect((await client.predict("x", { path: "/v1/models" })).json()).to.equal("/v1/models");
        expect(await (await client.fetch("/v1/models")).json()).to.equal("/v1/models");
        const base = path.replace(/\/$/, "");
        expect(requests.map(({ url }) => url)).to.deep.equal([path, `${base}/v1/models`, `${base}/v1/models`]);
      }
    }
  });

  test("addresses", `accepts ${address} as the base URL of an OpenAI client`, async (test) => {
    const { client } = open(test, { endpoint: `${address.replace(/\/$/, "")}/v1/` });
    expect((await client.predict("x")).json()).to.equal("/v1");
    expect((await client.predict("x", { path: "/v1/models" })).json()).to.equal("/v1/models");
    expect(client.openai().baseURL).to.match(/[^1]\/v1$/);
  });
}

test("addresses", "refuses an address with two services", async (test) => {
  const error = await rejection(
    (async () => open(test, { endpoint: `http://my-chat.1234.${REGION}/api/predict/other` }))(),
  );
  expect(error.name).to.equal("TypeError");
  expect(error.message).to.match(/names two services, "my-chat" by its host and "other" by its path/);
});

test("addresses", "diagnose() explains a path that does not fit the host", async (test) => {
  const { client } = open(test, { endpoint: `http://other.1234.${REGION}/` });
  const { ok, finding, message } = await client.diagnose({ path: "/api/predict/other" });
  expect([ok, finding]).to.deep.equal([false, "path"]);
  expect(message).to.match(/leave "\/api\/predict\/other" out of the path/);
});
