import type { DType, ValuesOf } from "eas-prediction";
import type { Terminal } from "../terminal.js";
import type { Output } from "./formats.js";

/** Maximum number of values in a row of the table. */
const SHOWN_VALUES = 10;
/** Significant digits of floats in the table. */
const DIGITS = 6;

/** Returns a table of outputs: name, dtype, shape and the first values. */
export function outputTable(terminal: Terminal, outputs: readonly Output[]): string {
  return terminal.table(
    ["output", "dtype", "shape", "values"],
    outputs.map(({ name, tensor: { dtype, shape, data } }) => [
      JSON.stringify(name).slice(1, -1),
      dtype,
      `[${shape.join(", ")}]`,
      valuesText(data),
    ]),
  );
}

function valuesText(data: ValuesOf<DType>): string {
  const shown = Array.from(data.slice(0, SHOWN_VALUES) as ArrayLike<unknown>, valueText);
  return shown.join(" ") + (data.length > SHOWN_VALUES ? " …" : "");
}

function valueText(value: unknown): string {
  // JSON escapes control characters, which could change the terminal.
  if (value instanceof Uint8Array) return JSON.stringify(new TextDecoder().decode(value));
  return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(DIGITS))) : `${value}`;
}
