import { show } from "../../util/argument-errors.js";
import { LENGTH_DELIMITED } from "../protobuf/wire.js";
import { WireReader } from "../protobuf/wire-reader.js";
import type { Bytes } from "../request.js";
import { RawTensor } from "../tensor/raw-tensor.js";
import { listOutputs, NamedTensorResponse } from "../tensor/tensor-response.js";
import { readBladeArray } from "./message.js";

/** Field number of `Response.outputs` in the official SDKs' `blade` schema. */
const OUTPUTS = 1;

/**
 * The outputs of a model that Blade has optimised. An output is found by its name in the model, or else by its blob name
 * in the engine; blanks around names do not count; of two outputs with one name the first has it. No dtype comes with an
 * output: it follows from its values, and for an output without any it is what the caller says.
 */
export class BladeResponse extends NamedTensorResponse {
  readonly #byBlobName = new Map<string, RawTensor>();
  readonly #batchSizes = new Map<RawTensor, number | undefined>();

  /** Reads a response body. Keeps a reference to it. Throws `EasDecodeError` when it is no such message. */
  constructor(body: Bytes) {
    super();
    const reader = new WireReader(body, "blade");
    while (reader.tag()) {
      if (reader.field === OUTPUTS && reader.wireType === LENGTH_DELIMITED) {
        reader.nested(() => {
          const raw = new RawTensor(body, `output ${this.#batchSizes.size}`);
          const { nameInModel, bladeBlobName, batchSize } = readBladeArray(reader, raw);
          this.#batchSizes.set(raw, batchSize);
          const blobName = bladeBlobName.trim();
          const name = nameInModel.trim() || blobName;
          raw.name = `output ${show(name)}`;
          if (!this.outputs.has(name)) this.outputs.set(name, raw);
          if (blobName !== "" && !this.#byBlobName.has(blobName)) this.#byBlobName.set(blobName, raw);
        });
      } else {
        reader.skip();
      }
    }
  }

  /** The number of samples that an output is for; undefined when the response does not say. */
  getBatchSize(outputName: string): number | undefined {
    return this.#batchSizes.get(this.find(outputName));
  }

  /** For people: the outputs with their first values. */
  override toString(): string {
    return `BladeResponse { ${listOutputs(this.outputs)} }`;
  }

  /** @internal */
  protected override find(name: string): RawTensor {
    const trimmed = typeof name === "string" ? name.trim() : name;
    return this.outputs.get(trimmed) ?? this.#byBlobName.get(trimmed) ?? super.find(trimmed);
  }
}
