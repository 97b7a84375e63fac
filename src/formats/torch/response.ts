import { LENGTH_DELIMITED } from "../protobuf/wire.js";
import { WireReader } from "../protobuf/wire-reader.js";
import type { Bytes } from "../request.js";
import { readArray, readTensorMap } from "../tensor/array-proto.js";
import type { DType, ValuesOf } from "../tensor/dtype.js";
import { RawTensor } from "../tensor/raw-tensor.js";
import type { Tensor } from "../tensor/tensor.js";
import { findOutput, listOutputs, outputAt, TensorResponse } from "../tensor/tensor-response.js";

/** Field numbers of `PredictResponse` in the official SDKs' `pytorch_predict` schema. */
const OUTPUTS = 1;
const MAP_OUTPUTS = 2;

/**
 * The response from a PyTorch model, with outputs by position and by name. Negative positions count from the end.
 * Methods whose names end in `Map` identify an output by its name.
 *
 * @example
 * const response = await client.predict(request);
 * response.getValues(0, "DT_FLOAT"); // Float32Array
 */
export class TorchResponse extends TensorResponse<number> {
  readonly #outputs: RawTensor[] = [];
  readonly #named = new Map<string, RawTensor>();

  /** Parses a response body and keeps a reference to it. Throws `EasDecodeError` if the body is invalid. */
  constructor(body: Bytes) {
    super();
    const reader = new WireReader(body, "torch");
    while (reader.tag()) {
      if (reader.field === OUTPUTS && reader.wireType === LENGTH_DELIMITED) {
        const raw = new RawTensor(body, `output ${this.#outputs.length}`);
        reader.nested(() => readArray(reader, raw, "bool"));
        this.#outputs.push(raw);
      } else if (reader.field === MAP_OUTPUTS && reader.wireType === LENGTH_DELIMITED) {
        readTensorMap(reader, this.#named, (raw) => readArray(reader, raw, "bool"));
      } else {
        reader.skip();
      }
    }
  }

  /** Number of positional outputs. */
  get outputCount(): number {
    return this.#outputs.length;
  }

  /** Names of the named outputs, in response order. */
  get outputNames(): string[] {
    return [...this.#named.keys()];
  }

  /** Returns the shape of a named output. Throws the same errors as `getTensorShape`. */
  getTensorShapeMap(outputName: string): number[] {
    return findOutput(this.#named, outputName).shape();
  }

  /** Returns the values of a named output. Throws the same errors as `getValues`. */
  getValuesMap<D extends DType>(outputName: string, dtype: D): ValuesOf<D>;
  /** Returns the values of a named output of any dtype. */
  getValuesMap(outputName: string): ValuesOf<DType>;
  getValuesMap(outputName: string, dtype?: DType): ValuesOf<DType> {
    return findOutput(this.#named, outputName).values(dtype);
  }

  /** Returns the dtype, shape and values of a named output. */
  getTensorMap(outputName: string): Tensor<DType, ValuesOf<DType>> {
    return findOutput(this.#named, outputName).tensor();
  }

  /** Describes the outputs with their first values, for logs. */
  override toString(): string {
    return `TorchResponse { ${listOutputs(this.all())} }`;
  }

  /** @internal */
  protected override all(): Iterable<readonly [string | number, RawTensor]> {
    return [...this.#outputs.entries(), ...this.#named];
  }

  /** @internal */
  protected override find(index: number): RawTensor {
    return outputAt(this.#outputs, index);
  }
}
