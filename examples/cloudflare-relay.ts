// A Cloudflare Worker that forwards the calls of your pages to an EAS service for language models. The token stays in the
// Worker: a page calls `https://<the worker>/eas/v1/chat/completions` without one, by `new PredictClient({ customUrl })`, by
// the npm package `openai` or by `fetch`.
//
//   npm install eas-prediction   # not yet on npm: see README.md
//   npx wrangler secret put EAS_TOKEN
//   npx wrangler deploy
//
// with this wrangler.jsonc in the same folder:
//
//   {
//     "name": "relay",
//     "main": "cloudflare-relay.ts",
//     "compatibility_date": "2026-11-01",
//     "vars": {
//       "EAS_ENDPOINT": "https://1234567890.cn-shanghai.pai-eas.aliyuncs.com",
//       "EAS_SERVICE_NAME": "llm",
//       "PAGE_ORIGIN": "https://my.site"
//     }
//   }
import { PredictClient } from "eas-prediction";
import { createRelay } from "eas-prediction/relay";

interface Env {
  readonly EAS_ENDPOINT: string;
  readonly EAS_SERVICE_NAME: string;
  readonly EAS_TOKEN: string;
  readonly PAGE_ORIGIN: string;
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    // A Worker cannot use the connections of one request in another, so each request creates its client. It costs little.
    const client = new PredictClient({
      endpoint: env.EAS_ENDPOINT,
      serviceName: env.EAS_SERVICE_NAME,
      token: env.EAS_TOKEN,
    });
    const relay = createRelay({
      client,
      base: "/eas",
      allow: [{ paths: ["/v1/chat/completions"] }, { methods: ["GET"], paths: ["/v1/models"] }],
      origins: [env.PAGE_ORIGIN],
      // To decide which callers may call, and how often, add `authorize: (request) => …`.
      onError: (error) => console.error(String(error)), // for `wrangler tail`; no error contains the token
    });
    return relay(request);
  },
};
