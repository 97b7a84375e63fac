import { scoreApplicants } from "../models/scorecard.js";
import { classifyImages, digitsSignature } from "./digits-service.js";
import { llmService } from "./llm-service.js";
import { rankDigits } from "./ranker-service.js";
import { scoreFeatureRows } from "./scorecard-service.js";
import type { EmulatorHandler, EmulatorService } from "./service.js";

/**
 * Creates the services that every emulator has. They read and write with the generated code and not with the SDK's own codecs,
 * so that the two check each other.
 */
export const createDemoServices = (): Readonly<Record<string, EmulatorHandler | EmulatorService>> => ({
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
   * A small language model, `eas-ngram`, behind the interfaces of vLLM, with its errors. `llmService` creates more of its kind,
   * with other options.
   *
   * - `/v1/models`, `/v1/chat/completions` and `/v1/completions`, streamed and whole, with `temperature` (default 0.5), `top_p`,
   *   `top_k`, `max_tokens`, `stop`, `seed` (default: from the prompt), `n` up to 8, `ignore_eos` and
   *   `stream_options.include_usage`. Bodies must be `application/json`. Unknown fields are ignored.
   * - `tools`: the answer calls the functions that match the last message of the user by their name or description, with
   *   arguments from the numbers, quoted words and names in it. It quotes the results of functions.
   * - `response_format` and `guided_json`: JSON that is valid for the schema.
   * - `reasoning_content` with `chat_template_kwargs: {"enable_thinking": true}`.
   * - `/v1/messages` and `/v1/messages/count_tokens`: Anthropic's Messages API, with tools and thinking.
   * - `/v1/embeddings`: vectors of unit length with up to 512 dimensions (default 512); similar texts have similar vectors.
   * - `/v1/rerank`, `/v2/rerank` and `/rerank`: documents by their similarity to a query, from 0 to 1.
   * - `/v1/files` and `/v1/batches` as OpenAI's interface has them, for callers that send the token as `Bearer`. Files have up
   *   to 200 MiB, and 512 MiB together. Batches run in the background, also through the states `pending` and `finalize` of EAS.
   * - At its own address it takes EAS's older form of any content type, `{"prompt": …, "use_stream_chat": true}`, whose streamed
   *   answers are JSON objects that end with a NUL.
   * - Over WebSocket each message is a chat request, answered by a message for each chunk and `[DONE]`.
   */
  llm: llmService(),
});
