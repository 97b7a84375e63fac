import { show } from "../../../util/argument-errors.js";
import { isRecord } from "../../../util/realms.js";
import type { InputConfig, NodeClass, NodeClasses } from "./nodes.js";

/** A node of a workflow in the API format. */
export interface WorkflowNode {
  readonly class_type: string;
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** A workflow whose nodes all have a known class: nodes by id. */
export type Workflow = ReadonlyMap<string, WorkflowNode>;

/** An error in ComfyUI's form. */
export interface ComfyError {
  readonly type: string;
  readonly message: string;
  readonly details: string;
  readonly extra_info: Readonly<Record<string, unknown>>;
}

/** The errors of a node in ComfyUI's form. */
export interface NodeErrors {
  readonly errors: readonly ComfyError[];
  readonly dependent_outputs: string[];
  readonly class_type: string;
}

/** The result of validating a workflow. */
export interface Validation {
  /** The reason why no part of the workflow can run; undefined if at least one output can run. */
  readonly error?: ComfyError;
  readonly nodeErrors: Readonly<Record<string, NodeErrors>>;
  /** Ids of the output nodes that can run. */
  readonly outputs: readonly string[];
  readonly workflow: Workflow;
}

/** Creates an error in ComfyUI's form. */
export function comfyError(type: string, message: string, details = "", extra: object = {}): ComfyError {
  return { type, message, details, extra_info: { ...extra } };
}

/** Returns the id of the node to which an input is linked; undefined for other values. */
export function linkedNode(value: unknown): string | undefined {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === "string" ? value[0] : undefined;
}

/**
 * Returns the ids of a node and of all nodes on which it depends, with every node after the nodes on which it depends.
 */
export function withAncestors(workflow: Workflow, id: string): string[] {
  const order = new Set<string>();
  const entered = new Set<string>();
  // A recursive function would overflow the stack in a workflow with thousands of nodes in a row.
  const stack = [id];
  while (stack.length > 0) {
    const current = stack[stack.length - 1] as string;
    const node = workflow.get(current);
    const before =
      entered.has(current) || node === undefined
        ? []
        : Object.values(node.inputs).flatMap((value) => linkedNode(value) ?? []);
    entered.add(current);
    const missing = before.filter((each) => !entered.has(each) && workflow.has(each));
    // The first input is on top of the stack, so that inputs run in order.
    for (const each of missing.reverse()) stack.push(each);
    if (missing.length === 0) {
      stack.pop();
      if (node !== undefined) order.add(current);
    }
  }
  return [...order];
}

/** Validates a workflow like ComfyUI: first the classes of all nodes, then the inputs on which each output depends. */
export function validateWorkflow(prompt: unknown, classes: NodeClasses): Validation {
  const workflow = new Map<string, WorkflowNode>();
  const refuse = (error: ComfyError): Validation => ({ error, nodeErrors: {}, outputs: [], workflow });
  if (!isRecord(prompt)) {
    return refuse(
      comfyError("invalid_prompt", `the workflow is ${show(prompt)}: it must be an object that maps ids to nodes`),
    );
  }
  for (const [id, node] of Object.entries(prompt)) {
    const refusal = classError(id, node, classes);
    if (refusal !== undefined) return refuse(refusal);
    const { class_type, inputs } = node as { class_type: string; inputs?: unknown };
    workflow.set(id, { class_type, inputs: isRecord(inputs) ? inputs : {} });
  }
  const ends = [...workflow].filter(([, { class_type }]) => classes.get(class_type)?.writes !== undefined);
  if (ends.length === 0) return refuse(comfyError("prompt_no_outputs", "Prompt has no outputs"));

  const nodeErrors = new Map<string, NodeErrors>();
  const outputs: string[] = [];
  const checked = new Map<string, readonly ComfyError[]>();
  for (const [output] of ends) {
    const cycle = findCycle(workflow, output);
    const failed = withAncestors(workflow, output).filter((id) => {
      const errors = checked.get(id) ?? checkNode(id, workflow, classes, cycle === id);
      checked.set(id, errors);
      return errors.length > 0;
    });
    if (failed.length === 0) outputs.push(output);
    for (const id of failed) {
      const { class_type } = workflow.get(id) as WorkflowNode;
      const known = nodeErrors.get(id) ?? { errors: checked.get(id) ?? [], dependent_outputs: [], class_type };
      known.dependent_outputs.push(output);
      nodeErrors.set(id, known);
    }
  }
  const result = { nodeErrors: Object.fromEntries(nodeErrors), outputs, workflow };
  if (outputs.length > 0) return result;
  return { ...result, error: comfyError("prompt_outputs_failed_validation", "Prompt outputs failed validation") };
}

function classError(id: string, node: unknown, classes: NodeClasses): ComfyError | undefined {
  const { class_type, _meta } = isRecord(node) ? node : {};
  const meta = isRecord(_meta) && typeof _meta.title === "string" ? _meta.title : null;
  const refuse = (message: string, class_type: string | null) =>
    comfyError("missing_node_type", message, `Node ID '#${id}'`, { node_id: id, class_type, node_title: meta });
  if (typeof class_type !== "string") {
    const name = meta ?? `ID #${id}`;
    return refuse(`Node '${name}' has no class_type. The workflow may be corrupted or a custom node is missing.`, null);
  }
  if (classes.has(class_type)) return undefined;
  return refuse(`Node '${meta ?? class_type}' not found. The custom node may not be installed.`, class_type);
}

/** Returns a node in a cycle on which an output depends; undefined if there is no cycle. */
function findCycle(workflow: Workflow, output: string): string | undefined {
  const position = new Map(withAncestors(workflow, output).map((id, at) => [id, at]));
  for (const [id, at] of position) {
    for (const value of Object.values(workflow.get(id)?.inputs ?? {})) {
      // Every node follows its inputs in this order, unless there is a cycle.
      if ((position.get(linkedNode(value) ?? "") ?? -1) >= at) return id;
    }
  }
  return undefined;
}

function checkNode(id: string, workflow: Workflow, classes: NodeClasses, isCycle: boolean): ComfyError[] {
  const { class_type, inputs } = workflow.get(id) as WorkflowNode;
  const { required, isCustom } = classes.get(class_type) as NodeClass;
  const errors = isCycle ? [comfyError("dependency_cycle", "Dependency cycle detected", `node ${id}`)] : [];
  const linkErrors = Object.entries(isCustom ? inputs : {}).flatMap(([name, value]) =>
    linkedNode(value) === undefined ? [] : checkLink(name, [], value as [string, unknown], workflow, classes),
  );
  const inputErrors = Object.entries(required).flatMap(([name, config]) => {
    const value = Object.hasOwn(inputs, name) ? inputs[name] : undefined;
    const info = { input_name: name, input_config: config };
    if (value === undefined) {
      return [comfyError("required_input_missing", "Required input is missing", name, { input_name: name })];
    }
    if (!Array.isArray(value)) return checkValue(name, config, value);
    if (linkedNode(value) !== undefined) return checkLink(name, config, value as [string, unknown], workflow, classes);
    const message = "Bad linked input, must be a length-2 list of [node_id, slot_index]";
    return [comfyError("bad_linked_input", message, name, { ...info, received_value: value })];
  });
  return [...errors, ...linkErrors, ...inputErrors];
}

function checkLink(
  name: string,
  config: InputConfig | readonly [],
  link: readonly [string, unknown],
  workflow: Workflow,
  classes: NodeClasses,
): ComfyError[] {
  const [from, slot] = link;
  const info = { input_name: name, input_config: config, linked_node: link };
  const source = classes.get(workflow.get(from)?.class_type ?? "");
  if (source === undefined) {
    const details = `node ${show(from)} does not exist`;
    return [comfyError("exception_during_validation", "Exception when validating node", details, info)];
  }
  const received = source.isCustom || !Number.isInteger(slot) ? undefined : source.outputs[slot as number];
  if (received === undefined && !source.isCustom) {
    const details = `node ${show(from)} has no output ${show(slot)}`;
    return [comfyError("exception_during_validation", "Exception when validating node", details, info)];
  }
  const [expected] = config;
  if (received === undefined || expected === undefined || received === expected) return [];
  const details = `${name}, received_type(${received}) mismatch input_type(${Array.isArray(expected) ? "COMBO" : expected})`;
  const message = "Return type mismatch between linked nodes";
  return [comfyError("return_type_mismatch", message, details, { ...info, received_type: received })];
}

function checkValue(name: string, config: InputConfig, value: unknown): ComfyError[] {
  const [type, limits = {}] = config;
  const info = { input_name: name, input_config: config, received_value: value };
  if (typeof type !== "string") {
    if (type.includes(value as string)) return [];
    // `String` would throw for an object with a member `toString`.
    const received = typeof value === "string" ? `'${value}'` : JSON.stringify(value);
    const details = `${name}: ${received} not in [${type.map((each) => `'${each}'`).join(", ")}]`;
    return [comfyError("value_not_in_list", "Value not in list", details, info)];
  }
  if (type === "STRING") {
    return typeof value === "object" ? [conversionError(name, type, value, info)] : [];
  }
  if (type !== "INT" && type !== "FLOAT") {
    const message = "Bad linked input, must be a length-2 list of [node_id, slot_index]";
    return [comfyError("bad_linked_input", message, name, info)];
  }
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isFinite(number)) return [conversionError(name, type, value, info)];
  const { min, max } = limits as { min?: number; max?: number };
  if (min !== undefined && number < min) {
    return [comfyError("value_smaller_than_min", `Value ${number} smaller than min of ${min}`, name, info)];
  }
  if (max !== undefined && number > max) {
    return [comfyError("value_bigger_than_max", `Value ${number} bigger than max of ${max}`, name, info)];
  }
  return [];
}

function conversionError(name: string, type: string, value: unknown, info: object): ComfyError {
  const message = `Failed to convert an input value to a ${type} value`;
  return comfyError("invalid_input_type", message, `${name}, ${JSON.stringify(value)}`, info);
}
