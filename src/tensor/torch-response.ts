import { argumentRangeError, show } from "../errors.js";
import type { Bytes } from "../request.js";
import { readArray } from "./array-proto.js";
import type { DType, ValuesOf } from "./dtype.js";
import { RawTensor } from "./raw-tensor.js";
import type { Tensor } from "./tensor.js";
import { readTensorMap } from "./tensor-map.js";
import { findOutput } from "./tf-response.js";
import { LENGTH_DELIMITED, WireReader } from "./wire.js";

/** Field numbers of `PredictResponse` in the official SDKs' `pytorch_predict` schema. */
const OUTPUTS = 1;
const MAP_OUTPUTS = 2;

/** The outputs of a PyTorch model, by position and by name. */
export class TorchResponse {
  readonly #outputs: RawTensor[] = [];
  readonly #named = new Map<string, RawTensor>();

  /** Reads a response body. Keeps a reference to it. Throws `EasDecodeError` when it is no such message. */
  constructor(body: Bytes) {
    const reader = new WireReader(body, "torch");
    while (reader.tag()) {
      if (reader.field === OUTPUTS && reader.wireType === LENGTH_DELIMITED) {
        const raw = new RawTensor(body, `output ${this.#outputs.length}`);
        reader.nested(() => readArray(reader, raw, "torch"));
        this.#outputs.push(raw);
      } else if (reader.field === MAP_OUTPUTS && reader.wireType === LENGTH_DELIMITED) {
        readTensorMap(reader, this.#named, (raw) => readArray(reader, raw, "torch"));
      } else {
        reader.skip();
      }
    }
  }

  /** How many outputs came by position. */
  get outputCount(): number {
    return this.#outputs.length;
  }

  /** Names of the outputs that came by name. */
  get outputNames(): string[] {
    return [...this.#named.keys()];
  }

  /** The shape of the output at a position; a negative one counts from the end. Throws a `RangeError` when it is none. */
  getTensorShape(outputIndex: number): number[] {
    return this.#output(outputIndex).shape();
  }

  /** The values of the output at a position; as `TFResponse.getValues`. */
  getValues<D extends DType>(outputIndex: number, dtype: D): ValuesOf<D>;
  getValues(outputIndex: number): ValuesOf<DType>;
  getValues(outputIndex: number, dtype?: DType): ValuesOf<DType> {
    return this.#output(outputIndex).values(dtype);
  }

  /** Dtype, shape and values of the output at a position. */
  getTensor(outputIndex: number): Tensor<DType, ValuesOf<DType>> {
    return this.#output(outputIndex).tensor();
  }

  /** The values of the output at a position as numbers; as `TFResponse.getNumbers`. */
  getNumbers(outputIndex: number): number[] {
    return this.#output(outputIndex).numbers();
  }

  /** The values of the STRING output at a position as text. */
  getStrings(outputIndex: number): string[] {
    return this.#output(outputIndex).strings();
  }

  /** The shape of a named output. */
  getTensorShapeMap(outputName: string): number[] {
    return findOutput(this.#named, outputName).shape();
  }

  /** The values of a named output; as `TFResponse.getValues`. */
  getValuesMap<D extends DType>(outputName: string, dtype: D): ValuesOf<D>;
  getValuesMap(outputName: string): ValuesOf<DType>;
  getValuesMap(outputName: string, dtype?: DType): ValuesOf<DType> {
    return findOutput(this.#named, outputName).values(dtype);
  }

  /** Dtype, shape and values of a named output. */
  getTensorMap(outputName: string): Tensor<DType, ValuesOf<DType>> {
    return findOutput(this.#named, outputName).tensor();
  }

  /** For people: the outputs with their first values. */
  toString(): string {
    const outputs = [...this.#outputs.entries(), ...this.#named].map(([name, raw]) => `${name}: ${raw}`);
    return `TorchResponse { ${outputs.join("; ")} }`;
  }

  #output(index: number): RawTensor {
    const output = Number.isInteger(index) ? this.#outputs.at(index) : undefined;
    if (output !== undefined) return output;
    const { length } = this.#outputs;
    const there = length === 0 ? "the response has none" : `there are ${length}, from 0 to ${length - 1}`;
    throw argumentRangeError("ERR_EAS_ARG_OUTPUT", `there is no output ${show(index)}: ${there}`);
  }
}
