import { scoreApplicants } from "../models/scorecard.js";
import type { EmulatorHandler, EmulatorService } from "../service.js";
import { classifyImages, digitsSignature } from "./digits-service.js";
import { llmService } from "./llm-service.js";
import { rankDigits } from "./ranker-service.js";
import { scoreFeatureRows } from "./scorecard-service.js";

/**
 * The services that every emulator has. They read and write by the generated code and not by the SDK's own codecs, so that
 * the two check each other.
 */
export const demoServices: Readonly<Record<string, EmulatorHandler | EmulatorService>> = {
  /** Answers with the body that it was sent, and over WebSocket with each message. */
  echo: {
    handle: ({ body, headers }) =>
      new Response(body, {
        headers: {
          "content-type": headers.get("content-type") ?? "application/octet-stream",
          "content-length": String(body.length),
        },
      }),
    socket: (_call, socket) => {
      socket.onMessage = (message) => socket.send(message);
    },
  },

  /**
   * JSON text in, `[{"mean_radius": 14.1, …}]`; JSON text out, `[{"probability": 0.98, "score": 612, "label": "benign"}]`.
   * It takes what a `JsonRequest` sends too, and answers that in its form.
   */
  scorecard: ({ body }) => {
    const input: unknown = JSON.parse(new TextDecoder().decode(body));
    if (Array.isArray(input)) return JSON.stringify(scoreApplicants(input));
    if (typeof input === "object" && input !== null && "inputs" in input) return scoreFeatureRows(input.inputs);
    throw new TypeError('the body must be a JSON array of rows: [{"mean_radius": 14.1, …}], or of a JsonRequest');
  },

  /**
   * Input `images` [n, 64] FLOAT, outputs `scores` [n, 10] FLOAT and `labels` [n] INT64; in TF, Blade, Caffe (whose labels
   * are floats) and ONNX. Torch: the same as input 0 and outputs 0 and 1. A GET of the service is answered with the model's
   * signature as JSON, as by EAS's TensorFlow processor.
   */
  digits: {
    methods: ["GET", "POST"],
    handle: ({ method, body }) => (method === "GET" ? digitsSignature() : classifyImages(body)),
  },

  /**
   * Ranks the digits `"0"` to `"9"`, which are the items, for an image, which is the user. EasyRec: user feature `pixels`, a
   * STRING of 64 numbers with commas; the results hold one score for each item. TorchRec: `pixels` is a LIST<FLOAT>; the
   * output is `probs` [n] FLOAT, in the order of the item ids. Without item ids all ten are ranked.
   */
  ranker: ({ body }) => rankDigits(body),

  /**
   * A small language model, `eas-ngram`, behind OpenAI's interface as vLLM serves it: `/v1/models`, `/v1/chat/completions` and
   * `/v1/completions`, streamed and whole, with `temperature` (default 0.5), `top_p`, `top_k`, `max_tokens`, `stop`, `seed`
   * (default: from the prompt) and `ignore_eos`. At its own address it takes EAS's older form, `{"prompt": …,
   * "use_stream_chat": true}`, whose streamed answers are JSON objects that end with a NUL. Over WebSocket each message is a
   * chat request, answered by a message for each chunk and `[DONE]`.
   */
  llm: llmService,
};
