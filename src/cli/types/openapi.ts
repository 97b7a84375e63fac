import { descriptionOf, isObject, type Json, SchemaReader } from "./json-schema.js";
import { type Operation, type ServiceTypes, type Shape, UNKNOWN } from "./shape.js";

const METHODS = ["get", "put", "post", "delete", "patch"];
/** Statuses whose response is taken, in this order. */
const STATUSES = ["200", "201", "202", "2XX", "default"];
/** Maximum number of references that lead to each other. */
const MAX_HOPS = 16;

/** Returns the types of an OpenAPI document, version 3. */
export function typesOfOpenApi(document: Json): ServiceTypes {
  const reader = new SchemaReader(document);
  const operations: Operation[] = [];
  for (const [path, item] of entriesOf(document.paths)) {
    const methods = follow(reader, item);
    for (const method of METHODS) {
      const operation = methods[method];
      if (isObject(operation)) operations.push(operationOf(reader, `${method.toUpperCase()} ${path}`, operation));
    }
  }
  const { schemas } = isObject(document.components) ? document.components : {};
  for (const [name] of entriesOf(schemas)) {
    reader.reference(`#/components/schemas/${encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"))}`);
  }
  return { declarations: reader.declarations(), operations };
}

function operationOf(reader: SchemaReader, key: string, operation: Json): Operation {
  const responses = follow(reader, operation.responses);
  const status = STATUSES.find((status) => Object.hasOwn(responses, status)) ?? "";
  const description = descriptionOf(operation);
  return {
    key,
    request: bodyOf(reader, operation.requestBody) ?? { kind: "null" },
    response: bodyOf(reader, responses[status]) ?? UNKNOWN,
    ...(description !== undefined && { description }),
  };
}

/** Returns the shape of the JSON body of a request or a response. Returns undefined if there is no body. */
function bodyOf(reader: SchemaReader, value: unknown): Shape | undefined {
  const { content } = follow(reader, value);
  const types = entriesOf(content);
  if (types.length === 0) return undefined;
  const json = types.find(([type]) => /^application\/([^;]*\+)?json\b/.test(type))?.[1];
  return isObject(json) ? reader.shape(json.schema) : UNKNOWN;
}

/** Returns the object to which a reference leads. Returns an empty object if there is none. */
function follow(reader: SchemaReader, value: unknown): Json {
  let found = value;
  for (let hop = 0; hop < MAX_HOPS && isObject(found) && typeof found.$ref === "string"; hop++) {
    found = reader.resolve(found.$ref);
  }
  return isObject(found) ? found : {};
}

function entriesOf(value: unknown): [string, unknown][] {
  return isObject(value) ? Object.entries(value) : [];
}
