import type { Bytes } from "../../../formats/request.js";
import { isRecord } from "../../../util/realms.js";
import { randomUuid } from "../../../util/uuid.js";
import { decode } from "../../gateway/request-target.js";
import { createResponse } from "../../response.js";
import type { EmulatorServiceSocket } from "../../server/socket.js";
import type { EmulatorCall, EmulatorHandler, EmulatorService } from "../service.js";
import { ComfyClients } from "./clients.js";
import type { ComfyDirectory } from "./output-files.js";
import { PromptQueue } from "./prompt-queue.js";
import { type ComfySettings, type ComfyUiOptions, checkComfyOptions } from "./settings.js";
import { comfyError, validateWorkflow } from "./workflow.js";

/** An emulated ComfyUI, for use as a service of the emulator and as the service of a queue. */
export interface EmulatorComfyUi extends EmulatorService {
  /**
   * Returns the bytes of an image that a workflow has saved, as if it were read from the mounted output directory.
   * Returns undefined for unknown files.
   */
  outputFile(filename: string, subfolder?: string): Bytes | undefined;
}

/**
 * Creates a service that behaves like ComfyUI: it validates workflows, runs them one after another, and draws small
 * images. An image depends only on the seed, the prompt and the size. The service runs on every runtime.
 *
 * - `POST /prompt` queues `{"prompt": <workflow>, "client_id": …}`. `GET /history/<prompt_id>` returns its result.
 * - `GET /view?filename=…` returns an image as PNG.
 * - `GET` and `POST /queue` and `/history`, `POST /interrupt`, and `GET /object_info`.
 * - The WebSocket `/ws?clientId=…` reports the progress of the client's workflows.
 * - `POST /api_prompt?task_id=…` is the path that EAS uses for queues. The request body is the workflow, and the
 *   response contains the files. Use the same object as the `service` of a queue and as a service, so that the images
 *   of queued workflows can be read.
 *
 * The known nodes are those of ComfyUI's text-to-image example, and model loaders. An image from a `SaveImage` or
 * `PreviewImage` node exists as long as its workflow is in the history.
 *
 * @throws TypeError or RangeError for invalid options.
 *
 * @example
 * const comfy = comfyUi();
 * createEmulator({ services: { comfy }, queues: { "comfy-async": { service: comfy } } });
 */
export function comfyUi(options: ComfyUiOptions = {}): EmulatorComfyUi {
  return new ComfyUi(checkComfyOptions(options));
}

/** Thrown to refuse a request. */
class Refusal extends Error {
  readonly response: Response;
  constructor(status: number, body: object) {
    super(`status ${status}`);
    this.response = json(status, body);
  }
}

class ComfyUi implements EmulatorComfyUi {
  readonly methods: readonly string[] = ["GET", "POST"];
  readonly handle: EmulatorHandler = (call) => this.#handle(call);
  readonly socket: NonNullable<EmulatorService["socket"]> = (call, socket) => this.#connect(call, socket);
  readonly #settings: ComfySettings;
  readonly #clients = new ComfyClients();
  readonly #queue: PromptQueue;

  constructor(settings: ComfySettings) {
    this.#settings = settings;
    this.#queue = new PromptQueue(settings, this.#clients);
  }

  // A service is checked for unknown properties, so this method is defined on the class, where it is not enumerable.
  outputFile(filename: string, subfolder = ""): Bytes | undefined {
    return this.#queue.files.get({ type: "output", filename, subfolder })?.slice();
  }

  async #handle(call: EmulatorCall): Promise<Response> {
    // ComfyUI serves all routes with and without the `/api` prefix.
    const path = call.path.replace(/^\/api(?=\/)/, "").replace(/\/$/, "");
    const [, promptId] = /^\/history\/([^/]+)$/.exec(path) ?? [];
    try {
      if (promptId !== undefined && call.method === "GET") {
        return json(200, this.#queue.history({ promptId: decode(promptId) }));
      }
      switch (`${call.method} ${path}`) {
        case "POST /prompt":
          return this.#submit(call);
        case "POST /api_prompt":
          return await this.#runTask(call);
        case "GET /prompt":
          return json(200, { exec_info: { queue_remaining: this.#queue.remaining } });
        case "GET /history":
          return json(200, this.#queue.history({ maxItems: numberOf(call.query.get("max_items")) }));
        case "POST /history":
          this.#queue.deleteHistory(selectionOf(call));
          return createResponse(200, "");
        case "GET /queue":
          return json(200, this.#queue.list());
        case "POST /queue":
          this.#queue.deletePending(selectionOf(call));
          return createResponse(200, "");
        case "POST /interrupt":
          this.#interrupt(call);
          return createResponse(200, "");
        case "GET /view":
          return this.#view(call.query);
        case "GET /object_info":
          return json(200, this.#nodeInfo());
        default:
          return createResponse(404, "404: Not Found");
      }
    } catch (error) {
      if (error instanceof Refusal) return error.response;
      throw error;
    }
  }

  #submit(call: EmulatorCall): Response {
    const { prompt, client_id, extra_data, front, number, prompt_id } = readObject(call);
    if (prompt === undefined) {
      throw new Refusal(400, {
        error: comfyError("no_prompt", "No prompt provided", "No prompt provided"),
        node_errors: {},
      });
    }
    const added = this.#add(prompt, {
      clientId: typeof client_id === "string" ? client_id : undefined,
      extraData: isRecord(extra_data) ? extra_data : {},
      isFirst: front === true,
      number: typeof number === "number" ? number : undefined,
      promptId: typeof prompt_id === "string" ? prompt_id : undefined,
    });
    return json(200, { prompt_id: added.promptId, number: added.number, node_errors: added.nodeErrors });
  }

  #add(
    prompt: unknown,
    options: {
      clientId?: string | undefined;
      extraData: Readonly<Record<string, unknown>>;
      isFirst: boolean;
      number?: number | undefined;
      promptId?: string | undefined;
    },
  ) {
    const { error, nodeErrors, outputs, workflow } = validateWorkflow(prompt, this.#settings.classes);
    if (error !== undefined) throw new Refusal(400, { error, node_errors: nodeErrors });
    const { clientId, extraData } = options;
    const data = clientId === undefined ? extraData : { ...extraData, client_id: clientId };
    const added = this.#queue.add({
      ...options,
      prompt: prompt as object,
      workflow,
      outputs,
      clientId,
      extraData: data,
    });
    return { ...added, nodeErrors };
  }

  /**
   * Runs a workflow and responds with its `executed` messages, followed by all outputs, as EAS's worker writes them to
   * the sink. For a failed workflow, the emulator assumes that EAS responds with status 500 and the failure message.
   */
  async #runTask(call: EmulatorCall): Promise<Response> {
    const body = readObject(call);
    const { prompt } = body;
    // The documented body is the workflow itself. A workflow could have a node with the id "prompt".
    const workflow = isRecord(prompt) && prompt.class_type === undefined ? prompt : body;
    const { promptId, finished } = this.#add(workflow, { extraData: {}, isFirst: false });
    const abort = () => {
      this.#queue.deletePending((id) => id === promptId);
      this.#queue.interrupt(promptId);
    };
    call.signal.addEventListener("abort", abort, { once: true });
    const result = await finished;
    call.signal.removeEventListener("abort", abort);
    if (result === undefined) return createResponse(500, "the workflow was deleted from the queue");
    const messages = result.messages.map(([type, data]) => ({ type, data }));
    if (!result.isSuccess) return json(500, messages.slice(-1));
    const cached = messages.find(({ type }) => type === "execution_cached")?.data.nodes as readonly string[];
    const executed = Object.entries(result.outputs)
      .filter(([node]) => !cached.includes(node))
      .map(([node, output]) => ({ type: "executed", data: { node, output, prompt_id: promptId } }));
    return json(200, [...executed, result.outputs]);
  }

  #interrupt(call: EmulatorCall): void {
    const { prompt_id } = call.body.length === 0 ? {} : readObject(call);
    this.#queue.interrupt(typeof prompt_id === "string" ? prompt_id : undefined);
  }

  #view(query: URLSearchParams): Response {
    const [filename = "", subfolder = "", type = "output"] = ["filename", "subfolder", "type"].map(
      (name) => query.get(name) ?? undefined,
    );
    if (filename === "") return createResponse(404, "");
    if (filename.startsWith("/") || filename.includes("..")) return createResponse(400, "");
    if (!["output", "temp", "input"].includes(type)) return createResponse(400, "");
    if (subfolder.startsWith("/") || subfolder.split(/[\\/]/).includes("..")) return createResponse(403, "");
    const bytes = this.#queue.files.get({ type: type as ComfyDirectory, filename, subfolder });
    if (bytes === undefined) return createResponse(404, "");
    const name = filename.replace(/["\\]|[^\x20-\x7e]/g, "_");
    return createResponse(200, bytes, {
      "content-type": "image/png",
      "content-disposition": `filename="${name}"`,
    });
  }

  #nodeInfo(): object {
    const infos = [...this.#settings.classes].map(([name, { required, outputs, writes }]) => [
      name,
      { name, input: { required }, output: outputs, output_node: writes !== undefined },
    ]);
    return Object.fromEntries(infos);
  }

  #connect(call: EmulatorCall, socket: EmulatorServiceSocket): void {
    if (call.path.replace(/^\/api(?=\/)/, "") !== "/ws") {
      socket.close(1008, "Not Found");
      return;
    }
    const clientId = call.query.get("clientId") || randomUuid().replaceAll("-", "");
    this.#clients.add(clientId, socket);
    const status = { exec_info: { queue_remaining: this.#queue.remaining } };
    this.#clients.send(clientId, "status", { status, sid: clientId });
    const node = this.#queue.runningNode(clientId);
    if (node !== undefined) this.#clients.send(clientId, "executing", { node });
    socket.onMessage = () => {};
  }
}

function json(status: number, value: object): Response {
  return createResponse(status, JSON.stringify(value), { "content-type": "application/json; charset=utf-8" });
}

/**
 * Reads a body. The emulator assumes that ComfyUI refuses a body that is not a JSON object with status 400 and this
 * error.
 */
function readObject({ body }: EmulatorCall): Readonly<Record<string, unknown>> {
  let value: unknown;
  let details = "the body is not a JSON object";
  try {
    value = JSON.parse(new TextDecoder().decode(body));
  } catch (error) {
    details = (error as Error).message;
  }
  if (isRecord(value)) return value;
  throw new Refusal(400, {
    error: comfyError("invalid_json", "The request body is not a JSON object", details),
    node_errors: {},
  });
}

/** Reads the body of a deletion request: `{"clear": true}` or `{"delete": [<prompt id>]}`. */
function selectionOf(call: EmulatorCall): (promptId: string) => boolean {
  const { clear, delete: deleted } = readObject(call);
  const ids: readonly unknown[] = Array.isArray(deleted) ? deleted : [];
  return (promptId) => clear === true || ids.includes(promptId);
}

function numberOf(text: string | null): number | undefined {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
