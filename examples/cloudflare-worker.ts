// A Cloudflare Worker that responds to `POST {"pixels": [64 numbers]}` with the digit that they show. The token stays in the
// Worker, so callers never see it.
//
//   npm install eas-prediction   # not yet on npm: see README.md
//   npx wrangler secret put EAS_TOKEN
//   npx wrangler deploy
//
// with this wrangler.jsonc in the same folder:
//
//   {
//     "name": "digits",
//     "main": "cloudflare-worker.ts",
//     "compatibility_date": "2026-11-01",
//     "vars": { "EAS_ENDPOINT": "https://1234567890.cn-shanghai.pai-eas.aliyuncs.com", "EAS_SERVICE_NAME": "digits" }
//   }
import { isEasError, PredictClient, TFRequest } from "eas-prediction";

interface Env {
  readonly EAS_ENDPOINT: string;
  readonly EAS_SERVICE_NAME: string;
  readonly EAS_TOKEN: string;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (request.method !== "POST") return new Response("POST only", { status: 405, headers: { allow: "POST" } });
    const body = (await request.json().catch(() => undefined)) as { pixels?: unknown } | undefined;
    const pixels = body?.pixels;
    if (!isImage(pixels)) return Response.json({ error: '"pixels" must be 64 numbers from 0 to 16' }, { status: 400 });

    // A Worker cannot use the connections of one request in another, so each request creates its client. It costs little.
    const client = new PredictClient({
      endpoint: env.EAS_ENDPOINT,
      serviceName: env.EAS_SERVICE_NAME,
      token: env.EAS_TOKEN,
    });
    try {
      const response = await client.predict(
        new TFRequest("predict_images").addFeed("images", [1, 64], TFRequest.DT_FLOAT, pixels),
      );
      const [digit] = response.getNumbers("labels");
      return Response.json({ digit, probabilities: response.getNumbers("scores") });
    } catch (error) {
      if (!isEasError(error)) throw error;
      console.error(error.code, error.message); // for `wrangler tail`; no error contains the token
      return Response.json({ error: error.code }, { status: 502 });
    }
  },
};

function isImage(value: unknown): value is number[] {
  const isPixel = (pixel: unknown) => typeof pixel === "number" && pixel >= 0 && pixel <= 16;
  return Array.isArray(value) && value.length === 64 && value.every(isPixel);
}
