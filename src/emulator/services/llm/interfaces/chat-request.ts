import { isRecord } from "../../../../util/realms.js";
import { formattedText } from "../output-format.js";
import { LLM_CONTEXT_TOKENS, type LlmSettings, readModel } from "../settings.js";
import { chooseCalls } from "../tools.js";
import { type Fields, invalid, readBoolean, readText } from "./fields.js";
import { readTextRequest, type TextRequest } from "./text-request.js";

/** Reads the body of `/v1/chat/completions`. Throws an `LlmRefusal` if the body is invalid. */
export function readChatRequest(fields: Fields, settings: LlmSettings): TextRequest {
  const model = readModel(fields, settings);
  const { messages } = fields;
  if (!Array.isArray(messages) || messages.length === 0) throw invalid("messages", messages, "a list of messages");
  const texts = messages.map(readMessage);
  const roles = messages.map(({ role }: Fields) => role);
  const prompt = texts.at(roles.lastIndexOf("user")) as string;
  let end = texts.length;
  while (roles[end - 1] === "tool" || roles[end - 1] === "function") end--;
  const results = texts.slice(end);
  const request = readTextRequest(fields, { prompt, texts, maxTokens: LLM_CONTEXT_TOKENS, isMessage: true });
  const calls = chooseCalls(fields, prompt, results.length > 0);
  return {
    ...request,
    model,
    reasoning: isReasoning(fields, model) ? reasoningAbout(prompt, texts.length) : undefined,
    calls,
    fixedText: formattedText(fields, prompt) ?? (results.length > 0 ? quote(prompt, results) : undefined),
  };
}

const ROLES: readonly unknown[] = ["system", "developer", "user", "assistant", "tool", "function"];

function readMessage(message: unknown, index: number): string {
  const name = `messages[${index}]`;
  if (!isRecord(message)) throw invalid(name, message, "an object with a role and a content");
  const { role, content, tool_calls } = message;
  if (!ROLES.includes(role)) throw invalid(`${name}.role`, role, `one of ${ROLES.join(", ")}`);
  if (!Array.isArray(tool_calls ?? [])) throw invalid(`${name}.tool_calls`, tool_calls, "a list of calls");
  if (role === "tool") readText(message, "tool_call_id");
  if (typeof content === "string") return content;
  // An assistant message that only calls functions has no text.
  if (role === "assistant" && (content === undefined || content === null)) return "";
  if (!Array.isArray(content)) throw invalid(`${name}.content`, content, "a string or a list of parts");
  return content.map((part: unknown, at) => readPart(`${name}.content[${at}]`, part)).join("\n");
}

function readPart(name: string, part: unknown): string {
  if (!isRecord(part)) throw invalid(name, part, 'an object such as {"type": "text", "text": "…"}');
  if (part.type !== "text") throw invalid(`${name}.type`, part.type, '"text", the only type that this model supports');
  if (typeof part.text !== "string") throw invalid(`${name}.text`, part.text, "a string");
  return part.text;
}

/**
 * Whether the reply includes reasoning. Callers request reasoning as they do for the Qwen3 and DeepSeek chat templates,
 * or by the model name.
 */
function isReasoning(fields: Fields, model: string): boolean {
  const options = fields.chat_template_kwargs ?? {};
  if (!isRecord(options)) throw invalid("chat_template_kwargs", options, "an object");
  const fallback = model.endsWith("-reasoning");
  const isIncluded = readBoolean(options, "thinking") || readBoolean(options, "enable_thinking", fallback);
  return isIncluded && readBoolean(fields, "include_reasoning", true);
}

function reasoningAbout(prompt: string, messages: number): string {
  const start = [...prompt].slice(0, 40).join("");
  return /\p{Script=Han}/u.test(prompt)
    ? `用户说：“${start}”。对话有${messages}条消息。我来回答。`
    : `The user says: "${start}". The conversation has ${messages} messages. I will answer now.`;
}

/** Returns the reply to the results of function calls. */
function quote(prompt: string, results: readonly string[]): string {
  const text = results.join("\n");
  return /\p{Script=Han}/u.test(prompt) ? `工具的结果是：${text}` : `The result of the tool is: ${text}`;
}
