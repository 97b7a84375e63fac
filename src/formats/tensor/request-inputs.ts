import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { checkTensor, type TensorFormat } from "./check-values.js";
import type { ContentOf, DType } from "./dtype.js";
import type { Tensor } from "./tensor.js";

/** Checks the arguments of an `addFeed` call, either a tensor or its parts, and returns the tensor. */
export function toTensor(
  format: TensorFormat<DType>,
  first: readonly number[] | Tensor,
  dtype: DType | undefined,
  content: ContentOf<DType> | undefined,
  of: string,
): Tensor {
  const given = isTensor(first) ? first : { shape: first, dtype: dtype as DType, data: content as ContentOf<DType> };
  if (given === first && (dtype !== undefined || content !== undefined)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_FEED",
      `${of}: a Tensor already carries dtype and content: remove the arguments after it`,
    );
  }
  const { shape, data } = given;
  return { shape, dtype: checkTensor(format, given, of), data };
}

/** Whether an argument that is a tensor or a shape is a tensor. */
export function isTensor(argument: readonly number[] | Tensor): argument is Tensor {
  return typeof argument === "object" && argument !== null && "data" in argument;
}

/** Returns a name, or throws a `TypeError` if it is not a string. */
export function checkName(argument: string, name: string): string {
  if (typeof name !== "string") {
    throw argumentTypeError("ERR_EAS_ARG_FEED", `${argument} is ${show(name)}: it must be a string`);
  }
  return name;
}

/** Returns a name, or throws if it is empty or not a string. */
export function checkFullName(argument: string, name: string): string {
  if (checkName(argument, name) === "") {
    throw argumentRangeError("ERR_EAS_ARG_FEED", `${argument} is "": it must not be empty`);
  }
  return name;
}

/** Throws if a name is empty or already in `used`. */
export function checkUnused(argument: string, name: string, used: { has(name: string): boolean }): void {
  checkFullName(argument, name);
  if (used.has(name)) {
    throw argumentRangeError("ERR_EAS_ARG_FEED", `${argument} ${show(name)} was already added: add each one only once`);
  }
}

/** Returns a number, or throws a `RangeError` if it is not a 32-bit integer of at least `min`. */
export function checkInt32(argument: string, value: number, min = -2_147_483_648): number {
  if (!Number.isInteger(value) || (value | 0) !== value || value < min) {
    const right = min === -2_147_483_648 ? "a 32-bit integer" : `a 32-bit integer of at least ${min}`;
    throw argumentRangeError("ERR_EAS_ARG_FEED", `${argument} is ${show(value)}: it must be ${right}`);
  }
  return value;
}

/** Formats inputs for logs, each with its dtype and shape. */
export function listFeeds(feeds: Iterable<readonly [unknown, Tensor]>): string {
  return Array.from(feeds, ([name, { dtype, shape }]) => `${name}: ${dtype} [${shape.join(", ")}]`).join("; ");
}
