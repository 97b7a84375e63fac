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
 * The outputs of a TorchEasyRec model. Its tensors (`map_outputs` in the schema) are read by name: `outputNames`,
 * `getValues`.
 */
export class TorchRecResponse extends NamedTensorResponse {
  /** Features that the feature generator made, as text, for debugging. */
  readonly generateFeatures: ReadonlyMap<string, string>;
  /** Features that went into the feature generator, as text, for debugging. */
  readonly rawFeatures: ReadonlyMap<string, string>;
  /** Ids of the items. */
  readonly itemIds: readonly string[];
  /** Data that the model's configuration hands through to the caller. */
  readonly passThroughData: ReadonlyMap<string, string>;

  /** Reads a response body. Keeps a reference to it. Throws `EasDecodeError` when it is no such message. */
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

  /** Returns all fields as plain data, for `JSON.stringify`. Maps become objects; the tensors are in `outputs`. */
  override toJSON(): Record<string, unknown> {
    const { outputs: _, ...fields } = this;
    return { ...(jsonForm(fields) as object), outputs: super.toJSON() };
  }

  /** For people: how many items there are, and the outputs with their first values. */
  override toString(): string {
    const outputs = this.outputs.size === 0 ? "" : `; ${listOutputs(this.outputs)}`;
    return `TorchRecResponse { ${this.itemIds.length} item ids${outputs} }`;
  }
}
