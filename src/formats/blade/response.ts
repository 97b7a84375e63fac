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
 * The response from a model optimized by Blade. An output can be looked up by its name in the model or by its blob name
 * in the engine. White space around names is ignored. If two outputs have the same name, the first one is used. The
 * response does not contain dtypes, so an output's dtype is inferred from its values. For an output without values,
 * pass the dtype to `getValues`.
 *
 * @example
 * const response = await client.predict(request);
 * response.getValues("scores", "DT_FLOAT"); // Float32Array
 */
export class BladeResponse extends NamedTensorResponse {
  readonly #byBlobName = new Map<string, RawTensor>();
  readonly #batchSizes = new Map<RawTensor, number | undefined>();

  /** Parses a response body, to which it keeps a reference. Throws `EasDecodeError` if the body is invalid. */
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

  /** Returns an output's batch size, or undefined if the response does not contain it. */
  getBatchSize(outputName: string): number | undefined {
    return this.#batchSizes.get(this.find(outputName));
  }

  /** Describes the outputs and their first values for logs. */
  override toString(): string {
    return `BladeResponse { ${listOutputs(this.outputs)} }`;
  }

  /** @internal */
  protected override find(name: string): RawTensor {
    const trimmed = typeof name === "string" ? name.trim() : name;
    return this.outputs.get(trimmed) ?? this.#byBlobName.get(trimmed) ?? super.find(trimmed);
  }
}
