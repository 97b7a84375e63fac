import { scoreApplicants } from "../models/scorecard.js";
import { createResponse } from "../response.js";
import { classifyImages, digitsSignature } from "./digits-service.js";
import { llmService } from "./llm-service.js";
import { rankDigits } from "./ranker-service.js";
import { scoreFeatureRows } from "./scorecard-service.js";
import type { EmulatorHandler, EmulatorService } from "./service.js";

/**
 * Creates the services that every emulator has. They use generated protobuf code instead of the SDK's codecs so that
 * the two implementations verify each other.
 */
export const createDemoServices = (): Readonly<Record<string, EmulatorHandler | EmulatorService>> => ({
  /** Responds with the request body. Over WebSocket, the service sends each message back. */
  echo: {
    handle: ({ body, headers }) =>
      createResponse(200, body, { "content-type": headers.get("content-type") ?? "application/octet-stream" }),
    socket: (_call, socket) => {
      socket.onMessage = (message) => socket.send(message);
    },
  },

  /**
   * Scores rows of JSON, `[{"mean_radius": 14.1, …}]`, and responds with
   * `[{"probability": 0.98, "score": 612, "label": "benign"}]`. It also accepts the body of a `JsonRequest`, and
   * responds to it in the form that `JsonResponse` parses.
   */
  scorecard: ({ body }) => {
    const input: unknown = JSON.parse(new TextDecoder().decode(body));
    if (Array.isArray(input)) return JSON.stringify(scoreApplicants(input));
    if (typeof input === "object" && input !== null && "inputs" in input) return scoreFeatureRows(input.inputs);
    throw new TypeError('the body must be a JSON array of rows: [{"mean_radius": 14.1, …}], or of a JsonRequest');
  },

  /**
   * Classifies images: input `images` [n, 64] FLOAT, outputs `scores` [n, 10] FLOAT and `labels` [n] INT64. Accepts TF, Blade,
   * Caffe (with float labels) and ONNX requests, and Torch requests with input 0 and outputs 0 and 1. A GET request returns
   * the model's signature as JSON, like EAS's TensorFlow processor.
   */
  digits: {
    methods: ["GET", "POST"],
    handle: ({ method, body }) => (method === "GET" ? digitsSignature() : classifyImages(body)),
  },

  /**
   * Ranks digits for an image. The items are the digits `"0"` to `"9"`, and the image is a feature of the user. If a
   * request has no item ids, all ten digits are ranked.
   *
   * - EasyRec: user feature `pixels` is a STRING of 64 comma-separated numbers. The results contain one score for
   *   each item.
   * - TorchRec: user feature `pixels` is a LIST<FLOAT>. The output is `probs` [n] FLOAT, in the order of the item
   *   ids.
   */
  ranker: ({ body }) => rankDigits(body),

  /**
   * A small language model, `eas-ngram`, that supports the HTTP interfaces and error formats of vLLM. Use `llmService`
   * to create such a service with other options.
   *
   * - `/v1/models`, `/v1/chat/completions` and `/v1/completions`, streamed or not, with `temperature` (default 0.5),
   *   `top_p`, `top_k`, `max_tokens`, `stop`, `seed` (default: derived from the prompt), `n` up to 8, `ignore_eos` and
   *   `stream_options.include_usage`. Bodies must be `application/json`. Unknown fields are ignored.
   * - `tools`: the response calls the functions whose name or description matches the last user message. Arguments
   *   are taken from the numbers, quoted words and names in this message. After a function call, the reply quotes the
   *   result of the function.
   * - `response_format` and `guided_json`: JSON that is valid for the schema.
   * - `reasoning_content` with `chat_template_kwargs: {"enable_thinking": true}`.
   * - `/v1/messages` and `/v1/messages/count_tokens`: Anthropic's Messages API, with tools and thinking.
   * - `/v1/embeddings`: unit vectors with up to 512 dimensions (default 512). Similar texts have similar vectors.
   * - `/v1/rerank`, `/v2/rerank` and `/rerank`: documents with their similarity to a query, from 0 to 1.
   * - `/v1/files` and `/v1/batches` as in OpenAI's interface, for callers that send the token as `Bearer`. A file can
   *   be up to 200 MiB, and all files together up to 512 MiB. Batches run in the background and include EAS's states
   *   `pending` and `finalize`.
   * - The service's root path accepts EAS's legacy form with any content type,
   *   `{"prompt": …, "use_stream_chat": true}`. Streamed responses are JSON objects, each followed by a NUL.
   * - Over WebSocket, each message is a chat request. The service sends one message for each chunk, followed by
   *   `[DONE]`.
   */
  llm: llmService(),
});
