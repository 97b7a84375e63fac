import { EasDecodeError } from "../../errors.js";
import { parseExactly, plainText } from "../../util/exact-json.js";
import { showAsText } from "../../util/inspect.js";
import { jsonForm } from "../../util/json-form.js";
import { isRecord } from "../../util/realms.js";
import type { Bytes } from "../request.js";

/** The prediction of a PMML model for one row. */
export interface JsonOutput {
  /** The predicted label; undefined if there is none. */
  readonly outputLabel: string | undefined;
  /** Probability of each label. */
  readonly outputMulti: ReadonlyMap<string, number>;
  /** Additional values by name. Integers beyond ±2^53 are bigints. */
  readonly outputValue: ReadonlyMap<string, unknown>;
}

/**
 * The response to a `JsonRequest`.
 *
 * @example
 * const { outputs } = await client.predict(request);
 * console.log(outputs[0]?.outputLabel, outputs[0]?.outputMulti.get("1"));
 */
export class JsonResponse {
  /** One output per row, in row order. */
  readonly outputs: readonly JsonOutput[];

  /** Parses a response body. Throws `EasDecodeError` if the body is invalid; the error does not contain the body. */
  constructor(body: Bytes) {
    let response: unknown;
    try {
      response = parseExactly(new TextDecoder().decode(body));
    } catch {
      throw invalid("the body is not JSON");
    }
    const outputs = isRecord(response) ? response.outputs : undefined;
    if (!Array.isArray(outputs)) throw invalid('it has no array "outputs"');
    showAsText(this);
    this.outputs = outputs.map((output: unknown, index) => {
      if (!isRecord(output)) throw invalid(`output ${index} is not an object`);
      return {
        outputLabel: labelOf(output, index),
        outputMulti: new Map(
          entriesOf(output, "outputMulti", index).map(([label, value]) => {
            if (typeof value === "object" && value !== null)
              throw invalid(`outputMulti of output ${index} has a value that is not a number`);
            return [label, Number(value)];
          }),
        ),
        outputValue: new Map(entriesOf(output, "outputValue", index)),
      };
    });
  }

  /**
   * Returns the outputs as plain data, for `JSON.stringify`. Bigints are converted to decimal strings, and maps to
   * objects.
   */
  toJSON(): Record<string, unknown> {
    return { outputs: jsonForm(this.outputs) };
  }

  /** Returns the predicted labels for logs. */
  toString(): string {
    return `JsonResponse { ${this.outputs.map(({ outputLabel }) => outputLabel).join(", ")} }`;
  }
}

function labelOf({ outputLabel }: Record<string, unknown>, index: number): string | undefined {
  if (outputLabel === undefined || outputLabel === null) return undefined;
  const label = plainText(outputLabel);
  if (label === undefined) throw invalid(`outputLabel of output ${index} is not a string`);
  return label;
}

function entriesOf(output: Record<string, unknown>, name: string, index: number): [string, unknown][] {
  const value = output[name];
  if (value === undefined || value === null) return [];
  if (!isRecord(value)) throw invalid(`${name} of output ${index} is not an object`);
  return Object.entries(value);
}

function invalid(why: string): EasDecodeError {
  return new EasDecodeError(`the response is not a JsonResponse: ${why}`, { format: "json" });
}
