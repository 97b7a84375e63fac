import { isRecord } from "../../../../util/realms.js";
import { type Fields, invalid, LlmRefusal, readText } from "./fields.js";

/**
 * Translates a request of Anthropic's Messages API to the fields of a chat request, as vLLM does. `system` becomes the first
 * message. `tool_use` blocks become calls, and `tool_result` blocks become messages with the role `tool`.
 */
export function toChatFields(fields: Fields): Fields {
  const { messages, system, tools, tool_choice, thinking, stop_sequences, output_config } = fields;
  if (!Array.isArray(messages) || messages.length === 0) throw invalid("messages", messages, "a list of messages");
  const texts =
    system === undefined || system === null ? [] : [{ role: "system", content: blockTexts("system", system) }];
  const choice = readChoice(tool_choice ?? undefined);
  return {
    model: fields.model,
    messages: [...texts, ...messages.flatMap(translateMessage)],
    max_tokens: fields.max_tokens,
    temperature: fields.temperature,
    top_p: fields.top_p,
    top_k: fields.top_k,
    seed: fields.seed,
    ignore_eos: fields.ignore_eos,
    stop: readStops(stop_sequences ?? []),
    stream: fields.stream,
    tools: readTools(tools ?? []),
    ...choice,
    chat_template_kwargs: readThinking(thinking ?? undefined) ?? fields.chat_template_kwargs,
    response_format: readFormat(output_config ?? undefined),
  };
}

/** Throws an `LlmRefusal` unless the request sets `max_tokens`, which Anthropic's interface requires. */
export function requireMaxTokens({ max_tokens }: Fields): void {
  if (max_tokens === undefined || max_tokens === null) throw new LlmRefusal("max_tokens: Field required", "max_tokens");
}

function translateMessage(message: unknown, index: number): object[] {
  const name = `messages[${index}]`;
  if (!isRecord(message)) throw invalid(name, message, "an object with a role and a content");
  const { role, content } = message;
  if (role !== "user" && role !== "assistant" && role !== "system") {
    throw invalid(`${name}.role`, role, '"user" or "assistant"');
  }
  if (typeof content === "string") return [{ role, content }];
  if (!Array.isArray(content)) throw invalid(`${name}.content`, content, "a string or a list of blocks");
  const texts: string[] = [];
  const calls: object[] = [];
  const results: object[] = [];
  for (const [at, block] of content.entries()) {
    const blockName = `${name}.content[${at}]`;
    if (!isRecord(block)) throw invalid(blockName, block, "an object with a type");
    const translate =
      typeof block.type === "string" && Object.hasOwn(BLOCKS, block.type) ? BLOCKS[block.type] : undefined;
    if (translate === undefined)
      throw invalid(`${blockName}.type`, block.type, `one of ${Object.keys(BLOCKS).join(", ")}`);
    translate(blockName, block, { texts, calls, results });
  }
  const own = { role, content: texts.join("\n"), ...(calls.length > 0 ? { tool_calls: calls } : {}) };
  // A message that contains only tool results is not a user message.
  return results.length > 0 && texts.length === 0 ? results : [...results, own];
}

interface Parts {
  readonly texts: string[];
  readonly calls: object[];
  readonly results: object[];
}

/** Functions that add a block to the parts of its message, by block type. */
const BLOCKS: Readonly<Record<string, (name: string, block: Fields, parts: Parts) => void>> = {
  text(name, block, { texts }) {
    if (typeof block.text !== "string") throw invalid(`${name}.text`, block.text, "a string");
    texts.push(block.text);
  },
  thinking: () => {},
  redacted_thinking: () => {},
  tool_use(name, { id, name: called, input }, { calls }) {
    if (typeof id !== "string") throw invalid(`${name}.id`, id, "a string");
    if (typeof called !== "string") throw invalid(`${name}.name`, called, "a string");
    calls.push({ id, type: "function", function: { name: called, arguments: JSON.stringify(input ?? {}) } });
  },
  tool_result(name, { tool_use_id, content }, { results }) {
    if (typeof tool_use_id !== "string") throw invalid(`${name}.tool_use_id`, tool_use_id, "a string");
    results.push({ role: "tool", tool_call_id: tool_use_id, content: blockTexts(`${name}.content`, content ?? "") });
  },
};

/** Returns the text of a string or of a list of text blocks. */
function blockTexts(name: string, content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw invalid(name, content, "a string or a list of text blocks");
  const texts = content.map((block: unknown, index) => {
    if (isRecord(block) && block.type === "text" && typeof block.text === "string") return block.text;
    throw invalid(`${name}[${index}]`, block, "a block of the type text, the only type that this model supports");
  });
  return texts.join("\n");
}

function readStops(stops: unknown): unknown {
  if (Array.isArray(stops)) return stops;
  throw invalid("stop_sequences", stops, "a list of strings");
}

function readTools(tools: unknown): object[] {
  if (!Array.isArray(tools)) throw invalid("tools", tools, "a list of tools");
  return tools.map((tool: unknown, index) => {
    const at = `tools[${index}]`;
    if (!isRecord(tool)) throw invalid(at, tool, 'an object such as {"name": …, "input_schema": …}');
    if (!isRecord(tool.input_schema)) throw invalid(`${at}.input_schema`, tool.input_schema, "a JSON schema");
    const { name, input_schema: parameters } = tool;
    return { type: "function", function: { name, description: readText(tool, "description"), parameters } };
  });
}

function readChoice(choice: unknown): Fields {
  if (choice === undefined) return {};
  if (!isRecord(choice)) throw invalid("tool_choice", choice, 'an object such as {"type": "auto"}');
  const common = { parallel_tool_calls: choice.disable_parallel_tool_use !== true };
  switch (choice.type) {
    case "none":
    case "auto":
      return { tool_choice: choice.type, ...common };
    case "any":
      return { tool_choice: "required", ...common };
    case "tool":
      return { tool_choice: { type: "function", function: { name: choice.name } }, ...common };
    default:
      throw invalid("tool_choice.type", choice.type, '"auto", "any", "tool" or "none"');
  }
}

function readThinking(thinking: unknown): Fields | undefined {
  if (thinking === undefined) return undefined;
  if (!isRecord(thinking))
    throw invalid("thinking", thinking, 'an object such as {"type": "enabled", "budget_tokens": 1024}');
  const isKnown = ["enabled", "adaptive", "disabled"].includes(thinking.type as string);
  if (!isKnown) throw invalid("thinking.type", thinking.type, '"enabled", "adaptive" or "disabled"');
  return { enable_thinking: thinking.type !== "disabled" };
}

function readFormat(config: unknown): Fields | undefined {
  if (!isRecord(config ?? {})) throw invalid("output_config", config, "an object");
  const format = isRecord(config) ? config.format : undefined;
  if (!isRecord(format)) return undefined;
  return { type: format.type, json_schema: { name: "json_schema", schema: format.schema } };
}
