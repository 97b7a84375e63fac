import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { type ContentOf, checkDTypeOf, type DType } from "./dtype.js";
import { checkShape, type Tensor } from "./tensor.js";

/** The tensor of an `addFeed` call in either of its forms. `dtypes` is the table of those that the format has. */
export function toTensor(
  dtypes: Readonly<Partial<Record<DType, unknown>>>,
  first: readonly number[] | Tensor,
  dtype: DType | undefined,
  content: ContentOf<DType> | undefined,
  of: string,
): Tensor {
  const given = isTensor(first) ? first : { shape: first, dtype, data: content as ContentOf<DType> };
  if (given === first && (dtype !== undefined || content !== undefined)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_FEED",
      `${of}: a Tensor already carries dtype and content: remove the arguments after it`,
    );
  }
  const checked = checkDTypeOf(dtypes as Record<DType, unknown>, given.dtype, of);
  const tensor = { shape: given.shape, dtype: checked, data: given.data };
  checkShape(tensor.shape, tensor.data, tensor.dtype, of);
  return tensor;
}

/** Whether an argument is a tensor, where a shape may stand too. */
export function isTensor(argument: readonly number[] | Tensor): argument is Tensor {
  return typeof argument === "object" && argument !== null && "data" in argument;
}

/** Checks a name that is sent and returns it. */
export function checkName(argument: string, name: string): string {
  if (typeof name !== "string") {
    throw argumentTypeError("ERR_EAS_ARG_FEED", `${argument} is ${show(name)}: it must be a string`);
  }
  return name;
}

/** Checks a name that must not be empty and returns it. */
export function checkFullName(argument: string, name: string): string {
  if (checkName(argument, name) === "") {
    throw argumentRangeError("ERR_EAS_ARG_FEED", `${argument} is "": it must not be empty`);
  }
  return name;
}

/** Checks a name that the server would find twice. */
export function checkUnused(argument: string, name: string, used: { has(name: string): boolean }): void {
  checkFullName(argument, name);
  if (used.has(name)) {
    throw argumentRangeError("ERR_EAS_ARG_FEED", `${argument} ${show(name)} was already given: give each one once`);
  }
}

/** Checks a 32-bit integer of at least `least` and returns it. */
export function checkInt32(argument: string, value: number, least = -2_147_483_648): number {
  if (!Number.isInteger(value) || (value | 0) !== value || value < least) {
    const right = least === -2_147_483_648 ? "a 32-bit integer" : `a 32-bit integer of at least ${least}`;
    throw argumentRangeError("ERR_EAS_ARG_FEED", `${argument} is ${show(value)}: it must be ${right}`);
  }
  return value;
}

/** Feeds for people: each with dtype and shape. */
export function listFeeds(feeds: Iterable<readonly [unknown, Tensor]>): string {
  return Array.from(feeds, ([name, { dtype, shape }]) => `${name}: ${dtype} [${shape.join(", ")}]`).join("; ");
}
