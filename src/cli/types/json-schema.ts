import { CommandError } from "../exit-codes.js";
import { Names } from "./names.js";
import { type Declaration, type Property, type Scalar, type Shape, UNKNOWN } from "./shape.js";

/** A value of a parsed document. */
export type Json = Readonly<Record<string, unknown>>;

/** Maximum number of levels of nested schemas. */
const MAX_DEPTH = 64;
/** Maximum number of schemas in a document. */
const MAX_SCHEMAS = 50_000;

/** Reads the JSON Schemas of a document. Named schemas become declarations. */
export class SchemaReader {
  readonly #document: Json;
  readonly #names = new Names();
  readonly #nameOf = new Map<string, string>();
  readonly #pending: { pointer: string; name: string }[] = [];
  readonly #declarations: Declaration[] = [];
  #count = 0;

  constructor(document: Json) {
    this.#document = document;
  }

  /** Returns the declarations of all schemas that were referenced, and of the schemas that these schemas reference. */
  declarations(): Declaration[] {
    // Reading a schema can append further schemas to the list.
    for (const { pointer, name } of this.#pending) {
      const schema = this.resolve(pointer);
      const description = descriptionOf(schema);
      this.#declarations.push({
        name,
        shape: this.shape(schema),
        ...(description !== undefined && { description }),
      });
    }
    return this.#declarations;
  }

  /** Returns the shape for a reference such as `#/components/schemas/Message`. */
  reference(pointer: string): Shape {
    if (!pointer.startsWith("#/") || this.resolve(pointer) === undefined) return UNKNOWN;
    const parts = partsOf(pointer);
    // Pointers to the same schema can differ in their percent escapes.
    const key = JSON.stringify(parts);
    let name = this.#nameOf.get(key);
    if (name === undefined) {
      name = this.#names.unique(parts.at(-1) ?? "");
      this.#nameOf.set(key, name);
      this.#pending.push({ pointer, name });
    }
    return { kind: "ref", name };
  }

  /** Returns the value at a pointer within the document, or undefined. */
  resolve(pointer: string): unknown {
    let value: unknown = this.#document;
    for (const part of partsOf(pointer)) {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
      value = (value as Json)[part];
    }
    return value;
  }

  /** Returns the shape of a schema. Throws a `CommandError` for a document that is too large or too deep. */
  shape(schema: unknown, depth = 0): Shape {
    if (++this.#count > MAX_SCHEMAS) throw new CommandError(`the document has more than ${MAX_SCHEMAS} schemas`);
    if (depth > MAX_DEPTH) throw new CommandError(`the document nests schemas more than ${MAX_DEPTH} levels deep`);
    if (schema === false) return { kind: "any", of: [] };
    if (!isObject(schema)) return UNKNOWN;
    if (typeof schema.$ref === "string") return nullable(schema, this.reference(schema.$ref));
    return nullable(schema, this.#withoutReference(schema, depth));
  }

  #withoutReference(schema: Json, depth: number): Shape {
    const parts: Shape[] = [];
    const own = this.#ownShape(schema, depth);
    if (own.kind !== "unknown") parts.push(own);
    if (Array.isArray(schema.allOf)) parts.push(...schema.allOf.map((part) => this.shape(part, depth + 1)));
    for (const alternatives of [schema.anyOf, schema.oneOf]) {
      if (!Array.isArray(alternatives)) continue;
      parts.push({ kind: "any", of: alternatives.map((part) => this.shape(part, depth + 1)) });
    }
    if (parts.length === 0) return UNKNOWN;
    return parts.length === 1 ? (parts[0] as Shape) : { kind: "all", of: parts };
  }

  #ownShape(schema: Json, depth: number): Shape {
    if (Object.hasOwn(schema, "const")) return literal([schema.const]);
    if (Array.isArray(schema.enum)) return literal(schema.enum);
    const { type } = schema;
    if (Array.isArray(type)) return { kind: "any", of: type.map((type) => this.#typed(schema, type, depth)) };
    return this.#typed(schema, type ?? impliedType(schema), depth);
  }

  #typed(schema: Json, type: unknown, depth: number): Shape {
    switch (type) {
      case "string":
        return { kind: "string", ...limits(schema.minLength, schema.maxLength) };
      case "integer":
        return { kind: "number", isInteger: true, ...limits(schema.minimum, schema.maximum) };
      case "number":
        return { kind: "number", ...limits(schema.minimum, schema.maximum) };
      case "boolean":
      case "null":
        return { kind: type };
      case "array":
        return this.#array(schema, depth);
      case "object":
        return this.#object(schema, depth);
      default:
        return UNKNOWN;
    }
  }

  #array(schema: Json, depth: number): Shape {
    const { prefixItems, items } = schema;
    if (Array.isArray(prefixItems) && prefixItems.length > 0 && isFixed(schema, prefixItems.length)) {
      return { kind: "tuple", items: prefixItems.map((item) => this.shape(item, depth + 1)) };
    }
    return { kind: "array", items: this.shape(items, depth + 1), ...limits(schema.minItems, schema.maxItems) };
  }

  #object(schema: Json, depth: number): Shape {
    const required = new Set(Array.isArray(schema.required) ? schema.required : []);
    const properties = Object.entries(isObject(schema.properties) ? schema.properties : {}).map(
      ([name, property]): Property => {
        const description = descriptionOf(property);
        return {
          name,
          isRequired: required.has(name),
          shape: this.shape(property, depth + 1),
          ...(description !== undefined && { description }),
        };
      },
    );
    const { additionalProperties: rest } = schema;
    if (rest === false) return { kind: "object", properties, rest };
    if (isObject(rest)) return { kind: "object", properties, rest: this.shape(rest, depth + 1) };
    return { kind: "object", properties };
  }
}

/** Whether a value is an object, and not a list. */
export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function partsOf(pointer: string): string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((part) => decoded(part).replaceAll("~1", "/").replaceAll("~0", "~"));
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function nullable(schema: Json, shape: Shape): Shape {
  return schema.nullable === true ? { kind: "any", of: [shape, { kind: "null" }] } : shape;
}

function literal(values: readonly unknown[]): Shape {
  const isScalar = (value: unknown): value is Scalar =>
    value === null || typeof value === "string" || typeof value === "boolean" || Number.isFinite(value);
  return values.every(isScalar) ? { kind: "literal", values } : UNKNOWN;
}

function limits(min: unknown, max: unknown): { min?: number; max?: number } {
  return {
    ...(Number.isFinite(min) && { min: min as number }),
    ...(Number.isFinite(max) && { max: max as number }),
  };
}

function isFixed({ items, minItems, maxItems }: Json, length: number): boolean {
  return (items === false || maxItems === length) && (minItems === length || minItems === undefined);
}

function impliedType(schema: Json): string | undefined {
  if (isObject(schema.properties) || isObject(schema.additionalProperties)) return "object";
  return schema.items !== undefined || schema.prefixItems !== undefined ? "array" : undefined;
}

/** Returns the description of a schema or an operation, if it has one. */
export function descriptionOf(schema: unknown): string | undefined {
  if (!isObject(schema)) return undefined;
  const text = schema.description ?? schema.summary;
  return typeof text === "string" && text !== "" ? text : undefined;
}
