import { show } from "../../../util/argument-errors.js";
import { isRecord } from "../../../util/realms.js";
import { type Fields, invalid, LlmRefusal } from "./interfaces/fields.js";
import { createValue } from "./json-value.js";
import { PromptValues } from "./prompt-values.js";

/** Fields for vLLM's guided decoding that this model does not support. */
const UNSUPPORTED = ["guided_regex", "guided_grammar", "regex", "grammar", "structural_tag"];

/**
 * Returns the text for a request with an output format: JSON that is valid for a schema, a JSON object, or one of several
 * choices. Returns undefined if no format is requested.
 */
export function formattedText(fields: Fields, prompt: string): string | undefined {
  const structured = fields.structured_outputs ?? {};
  if (!isRecord(structured)) throw invalid("structured_outputs", structured, "an object");
  for (const name of UNSUPPORTED) {
    const value = fields[name] ?? structured[name];
    if (value !== undefined && value !== null)
      throw new LlmRefusal(`${name} is ${show(value)}: this model does not support it`, name);
  }
  const choices = fields.guided_choice ?? structured.choice;
  if (choices !== undefined && choices !== null) return chooseText(choices, prompt);
  const schema = readSchema(fields, structured);
  return schema === undefined ? undefined : JSON.stringify(createValue(schema, new PromptValues(prompt), true));
}

function chooseText(choices: unknown, prompt: string): string {
  if (!Array.isArray(choices) || choices.length === 0 || !choices.every((each) => typeof each === "string")) {
    throw invalid("guided_choice", choices, "a list of strings");
  }
  return createValue({ enum: choices }, new PromptValues(prompt), true) as string;
}

/** The schema for requests that accept any JSON object. */
const ANY_OBJECT = { type: "object", properties: { answer: { type: "string" } }, required: ["answer"] };

function readSchema({ response_format: format, guided_json }: Fields, structured: Fields): unknown {
  const guided = guided_json ?? structured.json ?? undefined;
  if (guided !== undefined)
    return typeof guided === "string" ? parseSchema(guided) : checkSchema("guided_json", guided);
  if (structured.json_object === true) return ANY_OBJECT;
  if (format === undefined || format === null) return undefined;
  if (!isRecord(format)) throw invalid("response_format", format, 'an object such as {"type": "json_object"}');
  switch (format.type) {
    case "text":
      return undefined;
    case "json_object":
      return ANY_OBJECT;
    case "json_schema": {
      const { json_schema: holder } = format;
      if (!isRecord(holder))
        throw invalid("response_format.json_schema", holder, 'an object such as {"name": …, "schema": …}');
      return checkSchema("response_format.json_schema.schema", holder.schema);
    }
    default:
      throw invalid("response_format.type", format.type, '"text", "json_object" or "json_schema"');
  }
}

function parseSchema(text: string): unknown {
  try {
    return checkSchema("guided_json", JSON.parse(text));
  } catch (error) {
    if (error instanceof LlmRefusal) throw error;
    throw invalid("guided_json", text, "a JSON schema, as an object or as JSON text");
  }
}

function checkSchema(name: string, schema: unknown): unknown {
  if (isRecord(schema)) return schema;
  throw invalid(name, schema, "a JSON schema");
}
