import { EasDecodeError } from "../../errors.js";
import { parseExactly, plainText } from "../../util/exact-json.js";
import { showAsText } from "../../util/inspect.js";
import { jsonForm } from "../../util/json-form.js";
import { isRecord } from "../../util/realms.js";
import type { Bytes } from "../request.js";

/** What a PMML model says about one row. */
export interface JsonOutput {
  /** The predicted label; undefined when the service gives none. */
  readonly outputLabel: string | undefined;
  /** Each label's probability. */
  readonly outputMulti: ReadonlyMap<string, number>;
  /** Further values, as they are in the JSON text; an integer that a number cannot hold exactly is a bigint. */
  readonly outputValue: ReadonlyMap<string, unknown>;
}

/** The answer to a `JsonRequest`. */
export class JsonResponse {
  /** One for each row, in their order. */
  readonly outputs: readonly JsonOutput[];

  /** Reads a response body. Throws `EasDecodeError`, which holds nothing of the body, when it is no such JSON. */
  constructor(body: Bytes) {
    let answer: unknown;
    try {
      answer = parseExactly(new TextDecoder().decode(body));
    } catch {
      throw noJson("it is not JSON");
    }
    const outputs = isRecord(answer) ? answer["outputs"] : undefined;
    if (!Array.isArray(outputs)) throw noJson('it has no array "outputs"');
    showAsText(this);
    this.outputs = outputs.map((output: unknown, index) => {
      if (!isRecord(output)) throw noJson(`output ${index} is not an object`);
      return {
        outputLabel: labelOf(output, index),
        outputMulti: new Map(
          entriesOf(output, "outputMulti", index).map(([label, value]) => {
            if (typeof value === "object" && value !== null)
              throw noJson(`outputMulti of output ${index} has no number`);
            return [label, Number(value)];
          }),
        ),
        outputValue: new Map(entriesOf(output, "outputValue", index)),
      };
    });
  }

  /** Returns the outputs as plain data, for `JSON.stringify`. Bigints become decimal text, maps become objects. */
  toJSON(): Record<string, unknown> {
    return { outputs: jsonForm(this.outputs) };
  }

  /** For people: the labels. */
  toString(): string {
    return `JsonResponse { ${this.outputs.map(({ outputLabel }) => outputLabel).join(", ")} }`;
  }
}

function labelOf({ outputLabel }: Record<string, unknown>, index: number): string | undefined {
  if (outputLabel === undefined || outputLabel === null) return undefined;
  const label = plainText(outputLabel);
  if (label === undefined) throw noJson(`outputLabel of output ${index} is not a string`);
  return label;
}

function entriesOf(output: Record<string, unknown>, name: string, index: number): [string, unknown][] {
  const value = output[name];
  if (value === undefined || value === null) return [];
  if (!isRecord(value)) throw noJson(`${name} of output ${index} is not an object`);
  return Object.entries(value);
}

function noJson(why: string): EasDecodeError {
  return new EasDecodeError(`the response does not fit a JsonRequest: ${why}`, { format: "json" });
}
