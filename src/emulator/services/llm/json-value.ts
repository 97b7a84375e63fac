import { isRecord } from "../../../util/realms.js";
import { decode } from "../../gateway/request-target.js";
import { type Fields, LlmRefusal } from "./interfaces/fields.js";
import type { PromptValues } from "./prompt-values.js";

/** Depth at which values become as small as the schema allows, so that recursive schemas terminate. */
const SMALL_DEPTH = 6;
const MAX_DEPTH = 64;
/** Limits for a value. Needed because the model's context has only 8,192 tokens. */
const MAX_PARTS = 5000;
const MAX_TEXT_LENGTH = 100_000;

interface Source {
  readonly root: unknown;
  /** Results of `resolve`, so that each schema is resolved only once, even if it is referenced several times. */
  readonly resolved: Map<unknown, Fields>;
  readonly values: PromptValues;
  /**
   * Whether optional properties are always present. If not, only those for which the prompt contains a value are
   * present.
   */
  readonly isFull: boolean;
  /** Number of parts created so far. */
  parts: number;
}

/**
 * Returns a value that is valid for a JSON Schema, filled with numbers and quoted words from a prompt.
 *
 * Supported keywords: `type`, `properties`, `required`, `items`, `prefixItems`, `enum`, `const`, `anyOf`, `oneOf`,
 * `allOf`, `$ref` within the schema, `default`, `format`, and limits on numbers, lengths and counts. Other keywords,
 * such as `pattern`, are ignored.
 *
 * @throws LlmRefusal if the schema is malformed, cannot be satisfied, or requires a value that is too large.
 */
export function createValue(schema: unknown, values: PromptValues, isFull: boolean): unknown {
  return buildValue(schema, { root: schema, resolved: new Map(), values, isFull, parts: 0 }, 0);
}

function buildValue(unresolved: unknown, source: Source, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new LlmRefusal(`the JSON schema requires values more than ${MAX_DEPTH} levels deep`);
  source.parts++;
  if (source.parts > MAX_PARTS) throw new LlmRefusal(`the JSON schema requires values of more than ${MAX_PARTS} parts`);
  const schema = resolve(unresolved, source);
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return choose(schema, schema.enum, source.values);
  const options = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(options) && options.length > 0) {
    const { anyOf, oneOf, ...rest } = schema;
    return buildValue({ allOf: [rest, chooseOption(options, source, depth)] }, source, depth + 1);
  }
  const type = typeOf(schema);
  if (type === "null") return null;
  const make = Object.hasOwn(MAKERS, type) ? MAKERS[type] : undefined;
  if (make === undefined) throw new LlmRefusal(`the JSON schema has the unknown type ${JSON.stringify(type)}`);
  return make(schema, source, depth);
}

const MAKERS: Readonly<Record<string, (schema: Fields, source: Source, depth: number) => unknown>> = {
  string: (schema, { values }) => makeText(schema, values),
  number: (schema, { values }) => makeNumber(schema, values, false),
  integer: (schema, { values }) => makeNumber(schema, values, true),
  boolean: ({ default: fallback }, { values }) =>
    typeof fallback === "boolean" ? fallback : !/\b(false|no|not|off|without)\b|不/i.test(values.text),
  array: makeArray,
  object: makeObject,
};

/** Follows `$ref` and merges `allOf`. */
function resolve(schema: unknown, source: Source, depth = 0): Fields {
  if (schema === true || schema === undefined) return {};
  if (!isRecord(schema))
    throw new LlmRefusal(`the JSON schema has ${JSON.stringify(schema)} where an object is expected`);
  if (depth > MAX_DEPTH) throw new LlmRefusal("the JSON schema has a $ref that leads to itself");
  const known = source.resolved.get(schema);
  if (known !== undefined) return known;
  const { $ref, allOf, ...rest } = schema;
  let fields = schema;
  if (typeof $ref === "string") fields = { ...resolve(find($ref, source.root), source, depth + 1), ...rest };
  else if (Array.isArray(allOf)) fields = allOf.map((each) => resolve(each, source, depth + 1)).reduce(merge, rest);
  source.resolved.set(schema, fields);
  return fields;
}

function merge(a: Fields, b: Fields): Fields {
  const required = [...new Set([...listOf(a.required), ...listOf(b.required)])];
  const properties = { ...fieldsOf(a.properties), ...fieldsOf(b.properties) };
  return {
    ...a,
    ...b,
    ...(required.length > 0 ? { required } : {}),
    ...(Object.keys(properties).length > 0 ? { properties } : {}),
  };
}

function find(ref: string, root: unknown): unknown {
  let found = root;
  for (const part of ref.split("/").slice(1)) {
    const name = decode(part).replaceAll("~1", "/").replaceAll("~0", "~");
    found = isRecord(found) || Array.isArray(found) ? (found as Fields)[name] : undefined;
  }
  if (ref.startsWith("#") && found !== undefined) return found;
  throw new LlmRefusal(`the JSON schema has no ${JSON.stringify(ref)}; a $ref must point into the schema`);
}

/**
 * Returns a type or a required name as text. Does not use `String`, which would throw for an object with a `toString`
 * member.
 */
function nameOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function typeOf(schema: Fields): string {
  const { type } = schema;
  if (Array.isArray(type)) return nameOf(type.find((each) => each !== "null") ?? "null");
  if (type !== undefined) return nameOf(type);
  if (schema.properties !== undefined || schema.required !== undefined) return "object";
  if (schema.items !== undefined || schema.prefixItems !== undefined) return "array";
  return "string";
}

/** Chooses an option that the prompt mentions, otherwise the default, otherwise the first. */
function choose(schema: Fields, options: readonly unknown[], { text }: PromptValues): unknown {
  const lower = text.toLowerCase();
  const mentioned = options.find((option) => typeof option === "string" && lower.includes(option.toLowerCase()));
  return mentioned ?? (options.includes(schema.default) ? schema.default : options[0]);
}

/** Chooses the first alternative that is not null. Deep in a schema, scalars are preferred, so that recursion ends. */
function chooseOption(options: readonly unknown[], source: Source, depth: number): unknown {
  const typed = options.map((option) => ({ option, type: typeOf(resolve(option, source)) }));
  const isLeaf = ({ type }: { type: string }) => type !== "object" && type !== "array";
  const small = depth >= SMALL_DEPTH ? typed.find(isLeaf) : undefined;
  return (small ?? typed.find(({ type }) => type !== "null") ?? typed[0])?.option;
}

function makeText(schema: Fields, values: PromptValues): string {
  const min = countOf(schema.minLength, 0);
  const max = countOf(schema.maxLength, Number.POSITIVE_INFINITY);
  if (min > MAX_TEXT_LENGTH) throw new LlmRefusal(`the JSON schema requires strings longer than ${MAX_TEXT_LENGTH}`);
  const fits = (text: unknown): text is string => typeof text === "string" && text.length >= min && text.length <= max;
  const [example] = listOf(schema.examples);
  const text =
    (typeof schema.format === "string" ? values.ofFormat(schema.format) : undefined) ??
    values.takeText(fits, true) ??
    [schema.default, example].find(fits) ??
    values.text;
  return text.slice(0, max).padEnd(min, "-");
}

function makeNumber(schema: Fields, values: PromptValues, isInteger: boolean): number {
  const step = numberOf(schema.multipleOf) ?? (isInteger ? 1 : undefined);
  const { minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below } = schema;
  const isValid = (value: unknown): value is number =>
    typeof value === "number" &&
    !(step !== undefined && !isWhole(value / step)) &&
    !(typeof minimum === "number" && (above === true ? value <= minimum : value < minimum)) &&
    !(typeof maximum === "number" && (below === true ? value >= maximum : value > maximum)) &&
    !(typeof above === "number" && value <= above) &&
    !(typeof below === "number" && value >= below);
  const found = values.takeNumber(isValid) ?? [schema.default, ...listOf(schema.examples), 0, 1].find(isValid);
  if (found !== undefined) return found;
  const low = Math.max(numberOf(minimum) ?? Number.NEGATIVE_INFINITY, numberOf(above) ?? Number.NEGATIVE_INFINITY);
  const high = Math.min(numberOf(maximum) ?? Number.POSITIVE_INFINITY, numberOf(below) ?? Number.POSITIVE_INFINITY);
  const by = step ?? 1;
  const near = [
    Math.ceil(low / by) * by,
    Math.floor(low / by + 1) * by,
    Math.floor(high / by) * by,
    Math.ceil(high / by - 1) * by,
  ];
  const fallback = [low, ...near, high, (low + high) / 2].find((value) => Number.isFinite(value) && isValid(value));
  if (fallback !== undefined) return fallback;
  throw new LlmRefusal("the JSON schema has a number that no value can satisfy");
}

function makeArray(schema: Fields, source: Source, depth: number): unknown[] {
  const first = listOf(schema.prefixItems).map((each) => buildValue(each, source, depth + 1));
  const min = countOf(schema.minItems, 0);
  const max = countOf(schema.maxItems, Number.POSITIVE_INFINITY);
  if (schema.items === false || (schema.items === undefined && first.length > 0)) return first;
  const { type, enum: options } = resolve(schema.items, source);
  const { numberCount, quotedCount } = source.values;
  let left = 0;
  if (options === undefined && type === "string") left = quotedCount;
  else if (options === undefined && (type === "number" || type === "integer")) left = numberCount;
  const wanted = Math.max(left, depth >= SMALL_DEPTH ? 0 : 1);
  const count = Math.min(Math.max(wanted, min), max, MAX_PARTS + 1) - first.length;
  return [...first, ...Array.from({ length: Math.max(0, count) }, () => buildValue(schema.items, source, depth + 1))];
}

function makeObject(schema: Fields, source: Source, depth: number): object {
  const properties = fieldsOf(schema.properties);
  const required = listOf(schema.required).map(nameOf);
  const created = new Map<string, unknown>();
  // Fill required properties first, so that they get the values from the prompt.
  for (const name of required) {
    created.set(name, buildValue(Object.hasOwn(properties, name) ? properties[name] : true, source, depth + 1));
  }
  for (const [name, property] of Object.entries(properties)) {
    if (created.has(name)) continue;
    const isIncluded = source.isFull ? depth < SMALL_DEPTH : hasValue(resolve(property, source), source.values);
    if (isIncluded) created.set(name, buildValue(property, source, depth + 1));
  }
  const names = [...new Set([...Object.keys(properties), ...created.keys()])].filter((name) => created.has(name));
  return Object.fromEntries(names.map((name) => [name, created.get(name)]));
}

/** Whether the prompt contains a value for an optional property. */
function hasValue({ type, enum: options }: Fields, { text, numberCount, quotedCount }: PromptValues): boolean {
  if (Array.isArray(options)) {
    return options.some((option) => typeof option === "string" && text.toLowerCase().includes(option.toLowerCase()));
  }
  if (type === "number" || type === "integer") return numberCount > 0;
  return type === "string" && quotedCount > 0;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function fieldsOf(properties: unknown): Fields {
  if (properties === undefined) return {};
  if (isRecord(properties)) return properties;
  throw new LlmRefusal("the JSON schema has properties that are not an object");
}

/** Whether a quotient is a whole number, apart from rounding errors. */
function isWhole(quotient: number): boolean {
  return Math.abs(quotient - Math.round(quotient)) < 1e-9;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function countOf(value: unknown, fallback: number): number {
  return typeof value === "number" && value >= 0 ? value : fallback;
}
