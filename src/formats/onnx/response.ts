import { show } from "../../util/argument-errors.js";
import { LENGTH_DELIMITED, VARINT } from "../protobuf/wire.js";
import { WireReader } from "../protobuf/wire-reader.js";
import type { Bytes } from "../request.js";
import { readSizes } from "../tensor/array-proto.js";
import type { DType, OnnxDType, ValuesOf } from "../tensor/dtype.js";
import { RawTensor } from "../tensor/raw-tensor.js";
import { findOutput, listOutputs, outputAt, TensorResponse } from "../tensor/tensor-response.js";
import { MEMORY, readMemory } from "./values.js";

/** Field numbers of `DataProto` and `TensorProto` in the official Python SDK's `onnx_processor_data` schema. */
const TENSORS = 1;
const NAME = 1;
const DIMS = 2;
const DATA_TYPE = 3;
const RAW_DATA = 5;

const DTYPES: ReadonlyMap<number, OnnxDType> = /* @__PURE__ */ (() =>
  new Map(Array.from(Object.entries(MEMORY), ([dtype, { number }]) => [number, dtype as OnnxDType])))();

/**
 * The response from an ONNX model. Outputs are identified by name or zero-based position. If two outputs have the same
 * name, the first one is used. DT_HALF values are returned as floats.
 *
 * @example
 * const response = await client.predict(request);
 * response.getValues("scores", "DT_FLOAT"); // Float32Array
 */
export class OnnxResponse extends TensorResponse<string | number> {
  readonly #outputs: RawTensor[] = [];
  readonly #names: string[] = [];
  readonly #named = new Map<string, RawTensor>();

  /** Parses a response body and keeps a reference to it. Throws `EasDecodeError` if the body is invalid. */
  constructor(body: Bytes) {
    super();
    const reader = new WireReader(body, "onnx");
    while (reader.tag()) {
      if (reader.field === TENSORS && reader.wireType === LENGTH_DELIMITED) {
        const raw = new RawTensor(body, `output ${this.#outputs.length}`);
        let name = "";
        reader.nested(() => {
          name = readTensor(reader, raw);
        });
        raw.name = `output ${show(name)}`;
        this.#outputs.push(raw);
        this.#names.push(name);
        if (!this.#named.has(name)) this.#named.set(name, raw);
      } else {
        reader.skip();
      }
    }
  }

  /** Output names, in response order. */
  get outputNames(): string[] {
    return [...this.#names];
  }

  /** Returns the number of outputs. */
  getSize(): number {
    return this.#outputs.length;
  }

  /** Returns the name of the output at a position. */
  getName(outputIndex: number): string {
    outputAt(this.#outputs, outputIndex);
    return this.#names.at(outputIndex) as string;
  }

  /** Describes the outputs with their first values, for logs. */
  override toString(): string {
    return `OnnxResponse { ${listOutputs(this.#outputs.map((raw, index) => [this.#names[index], raw]))} }`;
  }

  /** @internal */
  protected override all(): Iterable<readonly [string, RawTensor]> {
    return this.#named;
  }

  /** @internal */
  protected override find(output: string | number): RawTensor {
    return typeof output === "number" ? outputAt(this.#outputs, output) : findOutput(this.#named, output);
  }
}

/** Reads a tensor into `raw` and returns its name. */
function readTensor(reader: WireReader, raw: RawTensor): string {
  let name = "";
  let data = { start: 0, end: 0 };
  while (reader.tag()) {
    const { field, wireType } = reader;
    if (field === NAME && wireType === LENGTH_DELIMITED) name = reader.name();
    else if (field === DATA_TYPE && wireType === VARINT) raw.dtypeNumber = reader.varint();
    else if (field === RAW_DATA && wireType === LENGTH_DELIMITED) {
      const end = reader.delimitedEnd();
      data = { start: reader.position, end };
      reader.position = end;
    } else if (field !== DIMS || !readSizes(reader, raw.dimensions)) reader.skip();
  }
  const dtype = DTYPES.get(raw.dtypeNumber);
  if (dtype !== undefined) {
    raw.dtype = dtype;
    raw.read = () => readValues(raw, dtype, data);
  }
  return name;
}

/** Returns the values of a tensor from the raw bytes in the response. */
function readValues(raw: RawTensor, dtype: OnnxDType, data: { start: number; end: number }): ValuesOf<DType> {
  const { width } = MEMORY[dtype];
  const elements = raw.shape().reduce((product, dimension) => product * dimension, 1);
  const count = (data.end - data.start) / width;
  if (elements !== count) {
    raw.fail(`has the shape [${raw.dimensions.join(", ")}] of ${elements} elements, but ${count} values`, data.start);
  }
  return readMemory(dtype, raw.memory([data], width));
}
