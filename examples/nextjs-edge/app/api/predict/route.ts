// A route of Next.js (App Router) on the edge runtime: responds to `POST {"pixels": [64 numbers]}` with the digit that
// they show. The token stays on the server, so pages that call the route never see it.
//
// Save it as app/api/predict/route.ts. Put this into .env.local, or into the settings of your deployment:
//
//   EAS_ENDPOINT=1234567890.cn-shanghai.pai-eas.aliyuncs.com
//   EAS_SERVICE_NAME=digits
//   EAS_TOKEN=…
//
// Do not name the variables `NEXT_PUBLIC_…`: those are built into the pages.
import { isEasError, PredictClient, TFRequest } from "eas-prediction";

// Next.js 16.4 recommends its Node runtime for new routes. Without this line the same code runs there.
export const runtime = "edge";

// All requests share the client.
const client = new PredictClient({
  endpoint: process.env.EAS_ENDPOINT,
  serviceName: process.env.EAS_SERVICE_NAME,
  token: process.env.EAS_TOKEN,
});

export async function POST(request: Request): Promise<Response> {
  const body = (await request.json().catch(() => undefined)) as { pixels?: unknown } | undefined;
  const pixels = body?.pixels;
  if (!isImage(pixels)) return Response.json({ error: '"pixels" must be 64 numbers from 0 to 16' }, { status: 400 });
  try {
    const response = await client.predict(
      new TFRequest("predict_images").addFeed("images", [1, 64], TFRequest.DT_FLOAT, pixels),
      { signal: request.signal }, // a caller that disconnects ends the call
    );
    const [digit] = response.getNumbers("labels");
    return Response.json({ digit, probabilities: response.getNumbers("scores") });
  } catch (error) {
    if (!isEasError(error)) throw error;
    console.error(error.code, error.message); // no error contains the token
    return Response.json({ error: error.code }, { status: 502 });
  }
}

function isImage(value: unknown): value is number[] {
  const isPixel = (pixel: unknown) => typeof pixel === "number" && pixel >= 0 && pixel <= 16;
  return Array.isArray(value) && value.length === 64 && value.every(isPixel);
}
