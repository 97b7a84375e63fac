import { HEADER } from "./declarations.js";
import { sourceOf } from "./names.js";
import type { ServiceTypes } from "./shape.js";

/** Returns the source of a JavaScript module with a Standard Schema for each type. The module imports nothing. */
export function schemaModuleOf({ declarations, operations }: ServiceTypes): string {
  // Names of properties are values in this source, so that a property `__proto__` has no effect.
  const shapes = declarations.map(({ name, shape }) => `  [${sourceOf(name)}, ${sourceOf(shape)}],\n`);
  const parts = [HEADER, `\nconst shapes = new Map([\n${shapes.join("")}]);\n`, VALIDATOR, "\n"];
  for (const { name } of declarations) {
    parts.push(`export const ${name}Schema = schema(${sourceOf({ kind: "ref", name })});\n`);
  }
  if (operations.length > 0) {
    const entries = operations.map(
      ({ key, request, response }) =>
        `  ${sourceOf(key)}: { request: schema(${sourceOf(request)}), response: schema(${sourceOf(response)}) },\n`,
    );
    parts.push(`\nexport const operations = {\n${entries.join("")}};\n`);
  }
  return parts.join("");
}

/**
 * Source of the validator. `limits` ends the validation of a value that is nested deeply, or of a recursive type whose
 * alternatives would multiply.
 */
const VALIDATOR = `
const MAX_DEPTH = 500;
const MAX_ISSUES = 100;
const MAX_STEPS = 1_000_000;

function schema(shape) {
  const validate = (value) => {
    const issues = [];
    check(shape, value, [], { issues, limits: { steps: 0 } });
    return issues.length === 0 ? { value } : { issues };
  };
  return { "~standard": { version: 1, vendor: "eas-prediction", validate } };
}

function check(shape, value, path, context) {
  const { issues, limits } = context;
  const fail = (message, at = path) => {
    if (issues.length < MAX_ISSUES) issues.push({ message, path: at });
  };
  if (++limits.steps > MAX_STEPS) return fail("is too complex to be validated");
  if (path.length > MAX_DEPTH) return fail("is nested too deeply");
  switch (shape.kind) {
    case "unknown":
      return;
    case "ref":
      return check(shapes.get(shape.name), value, path, context);
    case "null":
      return value === null ? undefined : fail("must be null");
    case "boolean":
      return typeof value === "boolean" ? undefined : fail("must be a boolean");
    case "string": {
      if (typeof value !== "string") return fail("must be a string");
      const length = [...value].length;
      return inRange(shape, length) ? undefined : fail("has " + length + " characters");
    }
    case "number":
      if (typeof value !== "number" || Number.isNaN(value)) return fail("must be a number");
      if (shape.isInteger && !Number.isInteger(value)) return fail("must be an integer");
      return inRange(shape, value) ? undefined : fail("is " + value + ", which is out of range");
    case "literal":
      return shape.values.includes(value) ? undefined : fail("must be one of " + shape.values.map((item) => JSON.stringify(item)).join(", "));
    case "array":
      if (!Array.isArray(value)) return fail("must be an array");
      if (!inRange(shape, value.length)) fail("has " + value.length + " items");
      for (let index = 0; index < value.length; index++) check(shape.items, value[index], [...path, index], context);
      return;
    case "tuple":
      if (!Array.isArray(value) || value.length !== shape.items.length) return fail("must be an array of " + shape.items.length + " items");
      for (let index = 0; index < value.length; index++) check(shape.items[index], value[index], [...path, index], context);
      return;
    case "all":
      for (const part of shape.of) check(part, value, path, context);
      return;
    case "any": {
      let best;
      for (const part of shape.of) {
        const attempt = [];
        check(part, value, path, { issues: attempt, limits });
        if (attempt.length === 0) return;
        // The issues deep inside a value describe the alternative that was meant.
        if (best === undefined || depthOf(attempt) > depthOf(best)) best = attempt;
      }
      if (best === undefined) return fail("has a type without values");
      if (shape.of.length > 1 && depthOf(best) <= path.length) return fail("matches none of the " + shape.of.length + " alternatives");
      for (const issue of best) fail(issue.message, issue.path);
      return;
    }
    case "object":
      return checkObject(shape, value, path, context, fail);
  }
}

function checkObject({ properties, rest }, value, path, context, fail) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return fail("must be an object");
  for (const { name, isRequired, shape } of properties) {
    const item = Object.hasOwn(value, name) ? value[name] : undefined;
    if (item !== undefined) check(shape, item, [...path, name], context);
    if (item === undefined && isRequired) fail("is missing", [...path, name]);
  }
  if (rest === undefined) return;
  const known = new Set(properties.map(({ name }) => name));
  for (const name of Object.keys(value)) {
    if (known.has(name)) continue;
    const at = [...path, name];
    rest === false ? fail("is not allowed", at) : check(rest, value[name], at, context);
  }
}

function inRange({ min = -Infinity, max = Infinity }, value) {
  return value >= min && value <= max;
}

function depthOf(issues) {
  return Math.max(...issues.map(({ path }) => path.length));
}
`;
