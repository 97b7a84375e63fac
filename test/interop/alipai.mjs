// Runs the unchanged package alipai against the emulator: Predictor, AsyncPredictor with threads and asyncio, and
// openai().
import assert from "node:assert/strict";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { PredictClient } from "eas-prediction";
import { heldOutDigits, scorecardSamples, startEmulator } from "eas-prediction/emulator";
import { PredictResponseSchema } from "eas-prediction/proto/torch";
import { ALIPAI_FAULTS } from "./python-faults.mjs";
import { checksOf, runPython } from "./python-process.mjs";

const QUEUE = "jobs";
const IMAGES = 50;

/** Runs alipai.py. Returns its checks, and checks of the requests that the emulator received. */
export async function alipaiChecks(python) {
  const service = ({ body }) => {
    const job = JSON.parse(new TextDecoder().decode(body));
    if (job.fail) return new Response("refused", { status: 400 });
    return JSON.stringify({ ...job, done: true });
  };
  const emulator = await startEmulator({ queues: { [QUEUE]: { service } } });
  const { endpoint, token } = emulator;
  emulator.addService("torch_scores_and_labels", ({ body }) => digits(emulator, body));
  emulator.addService("torch_scores", async ({ body }) => {
    const { outputs } = fromBinary(PredictResponseSchema, await digits(emulator, body));
    return toBinary(PredictResponseSchema, create(PredictResponseSchema, { outputs: outputs.slice(0, 1) }));
  });
  try {
    const rows = scorecardSamples.map(({ features }) => features);
    const client = new PredictClient({ endpoint, serviceName: "scorecard", token });
    const scores = JSON.parse(String(await client.predict(JSON.stringify(rows))));
    await client.close();
    emulator.reset();
    // The SDK treats this as a gateway that is not ready yet, and retries. The first check waits for it.
    emulator.fault({ service: "digits", status: 503, body: "no healthy upstream" });
    const images = heldOutDigits.images.slice(0, IMAGES);
    const labels = heldOutDigits.labels.slice(0, IMAGES);
    const lines = await runPython(python, "alipai.py", { endpoint, token, queue: QUEUE, rows, scores, images, labels });
    const received = [...emulator.requests];
    const { python: version, versions } = lines.find((line) => line.versions !== undefined) ?? {};
    console.log(`  alipai on Python ${version}: ${JSON.stringify(versions)}`);
    return { calls: checksOf(lines, ALIPAI_FAULTS), received: receivedChecks(received) };
  } finally {
    await emulator.close();
  }
}

/** Returns the response of the service digits, in the format of the request. */
async function digits(emulator, body) {
  const headers = { authorization: emulator.token };
  const url = `${emulator.endpoint}/api/predict/digits`;
  const answer = await emulator.fetch(new Request(url, { method: "POST", body, headers }));
  if (!answer.ok) throw new Error(await answer.text());
  return new Uint8Array(await answer.arrayBuffer());
}

function receivedChecks(requests) {
  const of = (service) => requests.filter((request) => request.service === service);
  return [
    [
      "sends the raw token in every request, and a bearer token from openai()",
      () => {
        for (const { service, auth, url } of requests) {
          if (service === undefined) continue;
          const isOpenAi = service === "llm" && (url.includes("/chat/") || auth === "bearer");
          assert.equal(auth, isOpenAi ? "bearer" : "token", url);
        }
      },
    ],
    [
      "requests the readiness and the signature of digits with GET",
      () => {
        const statuses = of("digits")
          .filter(({ method }) => method === "GET")
          .map(({ status }) => status);
        assert.deepEqual(statuses.slice(0, 3), [503, 200, 200]);
      },
    ],
    [
      "puts each job once, and finds its result in the sink by its requestId",
      () => {
        const jobs = of(QUEUE);
        const puts = jobs.filter(({ method }) => method === "POST");
        assert.equal(puts.length, 8 + 1 + 20 + 1 + 2);
        const found = jobs.filter(({ method, status }) => method === "GET" && status === 200);
        assert.equal(found.length, puts.length);
        for (const { url } of found) assert.match(url, /^\/api\/predict\/jobs\/sink\?requestId=[^&]+&_raw_=false$/);
      },
    ],
  ];
}
