import { show } from "../../../util/argument-errors.js";
import { isRecord } from "../../../util/realms.js";
import { randomUuid } from "../../../util/uuid.js";
import { isCommon, wordsOf } from "../../models/words.js";
import { type Fields, invalid, LlmRefusal, readBoolean, readText } from "./interfaces/fields.js";
import { createValue } from "./json-value.js";
import { PromptValues } from "./prompt-values.js";

/** A function call that the model requests. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** The arguments as JSON text. */
  readonly arguments: string;
}

interface Tool {
  readonly name: string;
  readonly description: string;
  readonly parameters: unknown;
}

/**
 * Chooses the functions that a chat reply calls, and fills their arguments from the prompt. The best match comes first.
 *
 * With `tool_choice: "auto"`, a function matches if the prompt contains its name, if its name shares a word with the
 * prompt, or if its description shares two words with the prompt. `"required"` calls the best match even if nothing
 * matches.
 */
export function chooseCalls(fields: Fields, prompt: string, isAnswered: boolean): readonly ToolCall[] {
  const tools = readTools(fields);
  const { choice, name } = readChoice(fields, tools);
  const isParallel = readBoolean(fields, "parallel_tool_calls", true);
  if (choice === "none" || tools.length === 0) return [];
  if (name !== undefined) return [callOf(tools.find((tool) => tool.name === name) as Tool, prompt)];
  if (choice === "auto" && isAnswered) return [];
  const rated = tools.map((tool) => ({ tool, score: scoreOf(tool, prompt) })).sort((a, b) => b.score - a.score);
  const matching = rated.filter(({ score }) => score >= MATCH);
  const chosen = matching.length === 0 && choice === "required" ? rated.slice(0, 1) : matching;
  return chosen.slice(0, isParallel ? chosen.length : 1).map(({ tool }) => callOf(tool, prompt));
}

function readTools({ tools }: Fields): readonly Tool[] {
  const list = tools ?? [];
  if (!Array.isArray(list)) throw invalid("tools", tools, "a list of functions");
  return list.map((tool: unknown, index) => {
    const at = `tools[${index}]`;
    if (!isRecord(tool)) throw invalid(at, tool, 'an object such as {"type": "function", "function": {"name": …}}');
    if (tool.type !== "function") throw invalid(`${at}.type`, tool.type, '"function"');
    if (!isRecord(tool.function)) throw invalid(`${at}.function`, tool.function, "an object with a name");
    const { name, parameters } = tool.function;
    if (typeof name !== "string" || name === "") throw invalid(`${at}.function.name`, name, "a non-empty string");
    if (!isRecord(parameters ?? {})) throw invalid(`${at}.function.parameters`, parameters, "a JSON schema");
    return { name, parameters: parameters ?? {}, description: readText(tool.function, "description") ?? "" };
  });
}

function readChoice({ tool_choice }: Fields, tools: readonly Tool[]): { choice: string; name?: string } {
  if (tool_choice === undefined || tool_choice === null || tool_choice === "none")
    return { choice: String(tool_choice ?? "auto") };
  if (tools.length === 0) throw new LlmRefusal("When using `tool_choice`, `tools` must be set.", "tool_choice");
  if (tool_choice === "auto" || tool_choice === "required") return { choice: tool_choice };
  const chosen = isRecord(tool_choice) && tool_choice.type === "function" ? tool_choice.function : undefined;
  if (!isRecord(chosen)) {
    const expected = '"none", "auto", "required" or {"type": "function", "function": {"name": …}}';
    throw invalid("tool_choice", tool_choice, expected);
  }
  if (typeof chosen.name === "string" && tools.some(({ name }) => name === chosen.name)) {
    return { choice: "named", name: chosen.name };
  }
  const message = `The tool specified in \`tool_choice\` (${show(chosen.name)}) does not match any of the specified \`tools\``;
  throw new LlmRefusal(message, "tool_choice");
}

/** Minimum score for a function to be called. */
const MATCH = 2;

function scoreOf({ name, description }: Tool, prompt: string): number {
  const words = new Set(wordsOf(prompt));
  const shared = (text: string) => new Set(wordsOf(text).filter((word) => !isCommon(word) && words.has(word)));
  const isNamed = prompt.toLowerCase().includes(name.toLowerCase());
  let score = isNamed ? 10 : 2 * shared(name).size;
  // Give such a pair more weight: two Han characters are usually a whole word, which texts rarely share by chance.
  for (const word of shared(description)) score += /\p{Script=Han}{2}/u.test(word) ? 2 : 1;
  return score;
}

function callOf({ name, parameters }: Tool, prompt: string): ToolCall {
  // Add the type, because arguments are always an object even if the schema does not say so.
  const schema = { type: "object", ...(parameters as object) };
  const value = createValue(schema, new PromptValues(prompt), false);
  return { id: `chatcmpl-tool-${randomUuid().replaceAll("-", "")}`, name, arguments: JSON.stringify(value) };
}
