import { jsonForm } from "../../util/json-form.js";
import { LENGTH_DELIMITED } from "../protobuf/wire.js";
import { WireReader } from "../protobuf/wire-reader.js";
import { readTextEntry } from "../recommend/read-maps.js";
import type { Bytes } from "../request.js";
import { readArray, readTensorMap } from "../tensor/array-proto.js";
import { listOutputs, NamedTensorResponse } from "../tensor/tensor-response.js";

/** Field numbers of `PBResponse` in the official Java SDK's `torchrec_predict` schema. */
const MAP_OUTPUTS = 1;
const GENERATE_FEATURES = 2;
const RAW_FEATURES = 3;
const ITEM_IDS = 4;
const PASS_THROUGH_DATA = 5;

/**
 * The response from a TorchEasyRec model. Read its tensors (`map_outputs` in the schema) with `outputNames` and
 * `getValues`.
 *
 * @example
 * const response = await client.predict(request);
 * response.getValues("probs", "DT_FLOAT"); // Float32Array
 */
export class TorchRecResponse extends NamedTensorResponse {
  /** Features created by the feature generator as text, for debugging. */
  readonly generateFeatures: ReadonlyMap<string, string>;
  /** Features received by the feature generator as text, for debugging. */
  readonly rawFeatures: ReadonlyMap<string, string>;
  /** Item ids. */
  readonly itemIds: readonly string[];
  /** Data that the model's configuration passes through to the caller. */
  readonly passThroughData: ReadonlyMap<string, string>;

  /** Parses a response body and keeps a reference to it. Throws `EasDecodeError` if the body is invalid. */
  constructor(body: Bytes) {
    super();
    const generateFeatures = new Map<string, string>();
    const rawFeatures = new Map<string, string>();
    const itemIds: string[] = [];
    const passThroughData = new Map<string, string>();
    const reader = new WireReader(body, "torchrec");
    const readers: Readonly<Record<number, () => void>> = {
      [MAP_OUTPUTS]: () => readTensorMap(reader, this.outputs, (raw) => readArray(reader, raw, "bool")),
      [GENERATE_FEATURES]: () => readTextEntry(reader, generateFeatures),
      [RAW_FEATURES]: () => readTextEntry(reader, rawFeatures),
      [ITEM_IDS]: () => itemIds.push(reader.text()),
      [PASS_THROUGH_DATA]: () => readTextEntry(reader, passThroughData),
    };
    while (reader.tag()) {
      const read = reader.wireType === LENGTH_DELIMITED ? readers[reader.field] : undefined;
      if (read !== undefined) read();
      else reader.skip();
    }
    this.generateFeatures = generateFeatures;
    this.rawFeatures = rawFeatures;
    this.itemIds = itemIds;
    this.passThroughData = passThroughData;
  }

  /**
   * Returns all fields as plain data, for `JSON.stringify`. Maps are converted to objects. The tensors are in
   * `outputs`.
   */
  override toJSON(): Record<string, unknown> {
    const { outputs: _, ...fields } = this;
    return { ...(jsonForm(fields) as object), outputs: super.toJSON() };
  }

  /** Returns the number of item ids and the outputs with their first values for logs. */
  override toString(): string {
    const outputs = this.outputs.size === 0 ? "" : `; ${listOutputs(this.outputs)}`;
    return `TorchRecResponse { ${this.itemIds.length} item ids${outputs} }`;
  }
}
