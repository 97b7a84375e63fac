import { randomUuid } from "../../../util/uuid.js";
import { yieldToEventLoop } from "../llm/pace.js";
import type { ComfyClients } from "./clients.js";
import { type ExecutionResult, Executor } from "./executor.js";
import { OutputFiles } from "./output-files.js";
import type { ComfySettings } from "./settings.js";
import type { Workflow } from "./workflow.js";

/** A workflow in the queue. */
interface QueuedPrompt {
  /** Position in the queue: lower numbers run first. */
  readonly number: number;
  readonly promptId: string;
  /** The workflow as received. */
  readonly prompt: object;
  readonly workflow: Workflow;
  readonly extraData: Readonly<Record<string, unknown>>;
  readonly outputs: readonly string[];
  readonly clientId: string | undefined;
  readonly onResult: (result: ExecutionResult | undefined) => void;
}

/** A new workflow. */
export interface NewPrompt extends Omit<QueuedPrompt, "number" | "promptId" | "onResult"> {
  readonly promptId?: string | undefined;
  /** Position requested by the client. */
  readonly number?: number | undefined;
  /** Whether the workflow runs before all waiting workflows. */
  readonly isFirst: boolean;
}

/** A finished workflow. `entry` is the response of `/history`. */
interface HistoryItem {
  readonly entry: object;
  readonly result: ExecutionResult;
}

/** The queue of a ComfyUI instance, its running workflow and its history. */
export class PromptQueue {
  readonly files: OutputFiles = new OutputFiles();
  readonly #settings: ComfySettings;
  readonly #clients: ComfyClients;
  readonly #executor: Executor;
  readonly #history = new Map<string, HistoryItem>();
  #pending: QueuedPrompt[] = [];
  #running: { readonly prompt: QueuedPrompt; readonly interrupted: AbortController; node?: string } | undefined;
  #nextNumber = 0;

  constructor(settings: ComfySettings, clients: ComfyClients) {
    this.#settings = settings;
    this.#clients = clients;
    this.#executor = new Executor(settings, this.files);
  }

  /** Number of waiting and running workflows. */
  get remaining(): number {
    return this.#pending.length + (this.#running ? 1 : 0);
  }

  /** Returns the id of the node that is running for a client. A client that reconnects receives it. */
  runningNode(clientId: string): string | undefined {
    return this.#running?.prompt.clientId === clientId ? this.#running.node : undefined;
  }

  /** The content of the queue, as `/queue` returns it. */
  list(): object {
    return {
      queue_running: this.#running ? [tupleOf(this.#running.prompt)] : [],
      queue_pending: this.#pending.map(tupleOf),
    };
  }

  /**
   * Adds a workflow. `finished` resolves with its result, or with undefined when the workflow is deleted before it
   * starts.
   */
  add(prompt: NewPrompt): { number: number; promptId: string; finished: Promise<ExecutionResult | undefined> } {
    const next = prompt.number ?? this.#nextNumber;
    if (prompt.number === undefined) this.#nextNumber++;
    const number = prompt.isFirst ? -next : next;
    const promptId = prompt.promptId ?? randomUuid();
    const finished = new Promise<ExecutionResult | undefined>((onResult) => {
      const at = this.#pending.findIndex((other) => other.number > number);
      const queued = { ...prompt, number, promptId, onResult };
      this.#pending.splice(at === -1 ? this.#pending.length : at, 0, queued);
    });
    this.#queueChanged();
    if (this.#running === undefined) void this.#runAll();
    return { number, promptId, finished };
  }

  /** Deletes waiting workflows that `isDeleted` selects. */
  deletePending(isDeleted: (promptId: string) => boolean): void {
    const deleted = this.#pending.filter(({ promptId }) => isDeleted(promptId));
    this.#pending = this.#pending.filter(({ promptId }) => !isDeleted(promptId));
    for (const { onResult } of deleted) onResult(undefined);
    if (deleted.length > 0) this.#queueChanged();
  }

  /** Interrupts the running workflow, or only the workflow with this id. */
  interrupt(promptId?: string): void {
    if (promptId === undefined || this.#running?.prompt.promptId === promptId) this.#running?.interrupted.abort();
  }

  /** Returns the history of one workflow, or of the latest `maxItems` workflows, oldest first. */
  history(filter: { promptId?: string; maxItems?: number | undefined } = {}): object {
    const entries = [...this.#history].map(([id, { entry }]) => [id, entry] as const);
    if (filter.promptId !== undefined) return Object.fromEntries(entries.filter(([id]) => id === filter.promptId));
    return Object.fromEntries(entries.slice(-(filter.maxItems ?? entries.length) || entries.length));
  }

  /** Removes workflows and their files from the history. */
  deleteHistory(isDeleted: (promptId: string) => boolean): void {
    for (const id of [...this.#history.keys()]) if (isDeleted(id)) this.#setHistory(id, undefined);
  }

  /** Adds, replaces or removes a workflow in the history. Removes the files that no workflow in the history has. */
  #setHistory(promptId: string, added: HistoryItem | undefined): void {
    const removed = this.#history.get(promptId);
    this.#history.delete(promptId);
    if (added !== undefined) this.#history.set(promptId, added);
    if (removed === undefined) return;
    const left = new Set([...this.#history.values()].flatMap(({ result }) => imagesOf(result)));
    for (const file of imagesOf(removed.result)) {
      // A cached result of a later workflow may have the same file.
      if (left.has(file)) continue;
      this.files.remove(file);
      this.#executor.clearCache();
    }
  }

  async #runAll(): Promise<void> {
    for (let prompt = this.#pending[0]; prompt !== undefined; prompt = this.#pending[0]) {
      this.#running = { prompt, interrupted: new AbortController() };
      this.#pending.shift();
      const { clientId, promptId } = prompt;
      const running = this.#running;
      // The client must receive the workflow's id before the messages about it.
      await yieldToEventLoop();
      const execution = {
        ...prompt,
        onMessage: (type: string, data: Readonly<Record<string, unknown>>) => {
          if (type === "executing") running.node = String(data.node);
          // ComfyUI reports an interruption to all clients.
          if (type === "execution_interrupted") this.#clients.broadcast(type, data);
          else this.#clients.send(clientId, type, data);
        },
      };
      const result = await this.#executor.run(execution, running.interrupted.signal);
      this.#setHistory(promptId, { entry: historyEntry(prompt, result), result });
      for (const oldest of this.#history.keys()) {
        if (this.#history.size <= this.#settings.historyLength) break;
        this.#setHistory(oldest, undefined);
      }
      this.#running = undefined;
      prompt.onResult(result);
      this.#queueChanged();
      this.#clients.send(clientId, "executing", { node: null, prompt_id: promptId });
    }
  }

  #queueChanged(): void {
    this.#clients.broadcast("status", { status: { exec_info: { queue_remaining: this.remaining } } });
  }
}

function imagesOf({ outputs }: ExecutionResult) {
  return Object.values(outputs).flatMap(({ images }) => images);
}

function tupleOf({ number, promptId, prompt, extraData, outputs }: QueuedPrompt): readonly unknown[] {
  return [number, promptId, prompt, extraData, outputs];
}

function historyEntry(prompt: QueuedPrompt, { isSuccess, outputs, messages }: ExecutionResult): object {
  const meta = Object.keys(outputs).map((id) => {
    return [id, { node_id: id, display_node: id, parent_node: null, real_node_id: id }];
  });
  return {
    prompt: tupleOf(prompt),
    outputs,
    status: { status_str: isSuccess ? "success" : "error", completed: isSuccess, messages },
    meta: Object.fromEntries(meta),
  };
}
