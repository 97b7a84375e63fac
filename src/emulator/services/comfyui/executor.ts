import { messageOf } from "../../../util/realms.js";
import { drawPicture } from "../pictures/picture.js";
import { encodePng } from "../pictures/png.js";
import { runSteps } from "../pictures/steps.js";
import type { NodeClass } from "./nodes.js";
import type { ComfyFile, OutputFiles } from "./output-files.js";
import { picturesOf } from "./pictures.js";
import type { ComfySettings } from "./settings.js";
import { type Workflow, type WorkflowNode, withAncestors } from "./workflow.js";

/** The images of an output node. */
export interface NodeOutput {
  readonly images: readonly ComfyFile[];
}

/** A message of an execution: its type and data. */
export type ExecutionMessage = readonly [type: string, data: Readonly<Record<string, unknown>>];

/** A workflow that is executed. */
export interface Execution {
  readonly promptId: string;
  readonly workflow: Workflow;
  /** Ids of the output nodes to run. */
  readonly outputs: readonly string[];
  /** Called for each message to the client. */
  readonly onMessage: (type: string, data: Readonly<Record<string, unknown>>) => void;
}

/** The result of an execution. */
export interface ExecutionResult {
  readonly isSuccess: boolean;
  readonly outputs: Readonly<Record<string, NodeOutput>>;
  /** Messages for the history. */
  readonly messages: readonly ExecutionMessage[];
}

/**
 * Results of the latest workflow. ComfyUI does not run a node again if neither the node nor any node on which it
 * depends has changed.
 */
interface Cache {
  /** Numbers by node signature. A signature contains the numbers of the linked nodes, not their signatures. */
  readonly numbers: ReadonlyMap<string, number>;
  readonly outputs: ReadonlyMap<number, NodeOutput>;
}

/** Executes one workflow at a time. */
export class Executor {
  readonly #settings: ComfySettings;
  readonly #files: OutputFiles;
  #cache: Cache = { numbers: new Map(), outputs: new Map() };
  #lastNumber = 0;

  constructor(settings: ComfySettings, files: OutputFiles) {
    this.#settings = settings;
    this.#files = files;
  }

  /** Clears the cached results, because their files have been removed. */
  clearCache(): void {
    this.#cache = { numbers: new Map(), outputs: new Map() };
  }

  /** Runs a workflow. Also resolves when the workflow fails or the signal interrupts it. */
  async run(execution: Execution, signal: AbortSignal): Promise<ExecutionResult> {
    const { promptId, workflow, onMessage } = execution;
    const messages: ExecutionMessage[] = [];
    const report = (type: string, data: object) => {
      const message = { ...data, prompt_id: promptId, timestamp: Math.trunc(this.#settings.now()) };
      messages.push([type, message]);
      onMessage(type, message);
    };
    const outputs = new Map<string, NodeOutput>();
    const executed: string[] = [];
    const order = [...new Set(execution.outputs.flatMap((id) => withAncestors(workflow, id)))];
    const numbers = this.#number(workflow, order);
    const isCached = (id: string) => this.#cache.numbers.has(numbers.signatures.get(id) as string);
    const cached = order.filter(isCached);
    let current = "";
    report("execution_start", {});
    report("execution_cached", { nodes: cached });
    try {
      this.#checkSize(execution);
      for (const id of order) {
        current = id;
        const known = isCached(id) ? this.#cache.outputs.get(numbers.byId.get(id) as number) : undefined;
        if (known !== undefined) outputs.set(id, known);
        if (isCached(id)) continue;
        onMessage("executing", { node: id, display_node: id, prompt_id: promptId });
        const output = await this.#runNode(execution, id, signal);
        executed.push(id);
        if (output === undefined) continue;
        outputs.set(id, output);
        onMessage("executed", { node: id, display_node: id, output, prompt_id: promptId });
      }
      this.#cache = {
        numbers: numbers.bySignature,
        outputs: new Map([...outputs].map(([id, output]) => [numbers.byId.get(id) as number, output])),
      };
      report("execution_success", {});
      return { isSuccess: true, outputs: Object.fromEntries(outputs), messages };
    } catch (error) {
      const node = { node_id: current, node_type: workflow.get(current)?.class_type ?? "", executed };
      if (signal.aborted) report("execution_interrupted", node);
      else {
        report("execution_error", {
          ...node,
          exception_message: messageOf(error),
          exception_type: error instanceof OutOfMemory ? "torch.OutOfMemoryError" : "RuntimeError",
          traceback: [],
          current_inputs: {},
          current_outputs: executed,
        });
      }
      return { isSuccess: false, outputs: Object.fromEntries(outputs), messages };
    }
  }

  #checkSize({ workflow, outputs }: Execution): void {
    const { maxPixels } = this.#settings;
    let pixels = 0;
    for (const id of outputs) {
      const { width, height, count } = picturesOf(workflow, id);
      pixels += width * height * count;
    }
    if (pixels > maxPixels) {
      throw new OutOfMemory(
        `Allocation on device: the workflow draws ${pixels} pixels, and the maximum is ${maxPixels}`,
      );
    }
  }

  /** Numbers each node by its class, its inputs and the numbers of the nodes to which it is linked. */
  #number(workflow: Workflow, order: readonly string[]) {
    const byId = new Map<string, number>();
    const bySignature = new Map<string, number>();
    const signatures = new Map<string, string>();
    for (const id of order) {
      const { class_type, inputs } = workflow.get(id) as WorkflowNode;
      const values = Object.entries(inputs).map(([name, value]) => {
        const [from, slot]: readonly unknown[] = Array.isArray(value) ? value : [];
        const number = byId.get(from as string);
        return [name, number === undefined ? [value] : [number, slot]];
      });
      const signature = JSON.stringify([class_type, values]);
      const number = bySignature.get(signature) ?? this.#cache.numbers.get(signature) ?? ++this.#lastNumber;
      bySignature.set(signature, number);
      signatures.set(id, signature);
      byId.set(id, number);
    }
    return { byId, bySignature, signatures };
  }

  async #runNode(execution: Execution, id: string, signal: AbortSignal): Promise<NodeOutput | undefined> {
    const { promptId, workflow, onMessage } = execution;
    const { class_type, inputs } = workflow.get(id) as WorkflowNode;
    signal.throwIfAborted();
    if (class_type === "KSampler") {
      const steps = Math.floor(Number(inputs.steps));
      await runSteps({ id: promptId, steps, pace: this.#settings.pace }, signal, (value) => {
        onMessage("progress", { value, max: steps, prompt_id: promptId, node: id });
      });
    }
    const { writes } = this.#settings.classes.get(class_type) as NodeClass;
    if (writes === undefined) return undefined;
    const { count, ...picture } = picturesOf(workflow, id);
    const prefix = writes === "temp" ? "ComfyUI_temp" : String(inputs.filename_prefix);
    // ComfyUI embeds the workflow in the file, so that its web page can load the workflow from the image.
    const texts = { prompt: JSON.stringify(Object.fromEntries(workflow)) };
    const images: ComfyFile[] = [];
    for (let i = 0; i < count; i++) {
      const png = await encodePng(drawPicture({ ...picture, seed: picture.seed + i }), texts);
      signal.throwIfAborted();
      images.push(this.#files.write(writes, prefix, png));
    }
    return { images };
  }
}

class OutOfMemory extends Error {}
