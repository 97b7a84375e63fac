import { argumentRangeError, show } from "../../util/argument-errors.js";
import { jsonForm } from "../../util/json-form.js";
import { FIXED32, LENGTH_DELIMITED, VARINT } from "../protobuf/wire.js";
import { readInt32, WireReader } from "../protobuf/wire-reader.js";
import { readEntry, readTextEntry } from "../recommend/read-maps.js";
import type { Bytes } from "../request.js";
import { readArray, readArrayValues, readTensorMap } from "../tensor/array-proto.js";
import type { Float64Values } from "../tensor/dtype.js";
import type { RawTensor } from "../tensor/raw-tensor.js";
import { listOutputs, NamedTensorResponse } from "../tensor/tensor-response.js";

/** The status of the processor. A number is a status that this SDK does not know. */
export type EasyRecStatusCode = "OK" | "INPUT_EMPTY" | "EXCEPTION" | number;

/** A value of a context feature. Undefined if the feature has no value. 64-bit integers are bigints. */
export type EasyRecContextValue = number | bigint | string | undefined;

/** Field numbers of `PBResponse` in the official SDKs' `easyrec_predict` schema. */
const RESULTS = 1;
const ITEM_FEATURES = 2;
const GENERATE_FEATURES = 3;
const CONTEXT_FEATURES = 4;
const ERROR_MSG = 5;
const STATUS_CODE = 6;
const ITEM_IDS = 7;
const OUTPUTS = 8;
const RAW_FEATURES = 9;
const TF_OUTPUTS = 10;

/** Field number of the only field in `Results` and in `ContextFeatures`. */
const SCORES = 1;
const FEATURES = 1;

/** Members of `PBFeature`, with their wire types. */
const MEMBERS: Readonly<Record<number, { readonly wireType: number; read(reader: WireReader): EasyRecContextValue }>> =
  {
    1: { wireType: VARINT, read: (reader) => readInt32(reader) },
    2: { wireType: VARINT, read: (reader) => reader.int64() },
    3: { wireType: LENGTH_DELIMITED, read: (reader) => reader.text() },
    4: { wireType: FIXED32, read: readFloat },
  };

const STATUS_CODES = ["OK", "INPUT_EMPTY", "EXCEPTION"] as const;

/** Maximum number of names in an error message. */
const MAX_NAMES = 10;

/**
 * The response from an EasyRec model. Read output tensors (`tf_outputs` in the schema) with `outputNames` and
 * `getValues`, as with a `TFResponse`. Whether the service sends tensors and debugging maps depends on its version and
 * on the request's debug level.
 *
 * @example
 * const response = await client.predict(request);
 * for (const [itemId, scores] of response.results) console.log(itemId, scores);
 */
export class EasyRecResponse extends NamedTensorResponse {
  /** Scores by item id. Each item's scores are in the order of `targets`. */
  readonly results: ReadonlyMap<string, Float64Values>;
  /** Item ids. */
  readonly itemIds: readonly string[];
  /** Names of the scores. The schema calls this field `outputs`, but in this SDK, outputs are tensors. */
  readonly targets: readonly string[];
  /** Item features as text, for debugging. */
  readonly itemFeatures: ReadonlyMap<string, string>;
  /** Features created by the feature generator as text, for debugging. */
  readonly generateFeatures: ReadonlyMap<string, string>;
  /** Features received by the feature generator as text, for debugging. */
  readonly rawFeatures: ReadonlyMap<string, string>;
  /** Context features by name, for debugging. */
  readonly contextFeatures: ReadonlyMap<string, readonly EasyRecContextValue[]>;
  /** The processor's status. For `"EXCEPTION"`, see `errorMsg`; the HTTP status can still be 200. */
  readonly statusCode: EasyRecStatusCode;
  /** The service's error message; empty if there is none. */
  readonly errorMsg: string;

  /** Parses a response body and keeps a reference to it. Throws `EasDecodeError` if the body is invalid. */
  constructor(body: Bytes) {
    super();
    const scores = new Map<string, RawTensor>();
    const itemIds: string[] = [];
    const targets: string[] = [];
    const itemFeatures = new Map<string, string>();
    const generateFeatures = new Map<string, string>();
    const rawFeatures = new Map<string, string>();
    const contextFeatures = new Map<string, EasyRecContextValue[]>();
    let statusCode = 0;
    let errorMsg = "";
    const reader = new WireReader(body, "easyrec");
    const readers: Readonly<Record<number, () => void>> = {
      [RESULTS]: () => readTensorMap(reader, scores, (raw) => readScores(reader, raw)),
      [ITEM_FEATURES]: () => readTextEntry(reader, itemFeatures),
      [GENERATE_FEATURES]: () => readTextEntry(reader, generateFeatures),
      [CONTEXT_FEATURES]: () => readContextFeatures(reader, contextFeatures),
      [ERROR_MSG]: () => {
        errorMsg = reader.text();
      },
      [ITEM_IDS]: () => itemIds.push(reader.text()),
      [OUTPUTS]: () => targets.push(reader.text()),
      [RAW_FEATURES]: () => readTextEntry(reader, rawFeatures),
      [TF_OUTPUTS]: () => readTensorMap(reader, this.outputs, (raw) => readArray(reader, raw)),
    };
    while (reader.tag()) {
      const read = reader.wireType === LENGTH_DELIMITED ? readers[reader.field] : undefined;
      if (read !== undefined) read();
      else if (reader.field === STATUS_CODE && reader.wireType === VARINT) statusCode = readInt32(reader);
      else reader.skip();
    }
    this.results = new Map(Array.from(scores, ([id, raw]) => [id, scoresOf(raw)]));
    this.itemIds = itemIds;
    this.targets = targets;
    this.itemFeatures = itemFeatures;
    this.generateFeatures = generateFeatures;
    this.rawFeatures = rawFeatures;
    this.contextFeatures = contextFeatures;
    this.statusCode = STATUS_CODES[statusCode] ?? statusCode;
    this.errorMsg = errorMsg;
  }

  /**
   * Returns an item's scores in the order of `targets`. Throws a `RangeError` that lists the items if the response does
   * not contain the item.
   */
  getScores(itemId: string | number | bigint): Float64Values {
    const scores = this.results.get(String(itemId));
    if (scores !== undefined) return scores;
    const ids = Array.from(this.results.keys());
    const names = ids.slice(0, MAX_NAMES).map(show).join(", ");
    const there = ids.length === 0 ? "it has no items" : `its items are ${names}`;
    const more = ids.length > MAX_NAMES ? `, … (${ids.length} in all)` : "";
    const status =
      this.statusCode === "OK" ? "" : `; the service responded with ${this.statusCode}: ${show(this.errorMsg)}`;
    throw argumentRangeError(
      "ERR_EAS_ARG_OUTPUT",
      `item ${show(String(itemId))} has no scores in the response: ${there}${more}${status}`,
    );
  }

  /**
   * Returns all fields as plain data, for `JSON.stringify`. Maps are converted to objects. The tensors are in
   * `outputs`.
   */
  override toJSON(): Record<string, unknown> {
    const { outputs: _, ...fields } = this;
    return { ...(jsonForm(fields) as object), outputs: super.toJSON() };
  }

  /** Returns the status, the number of items with scores, and the outputs with their first values for logs. */
  override toString(): string {
    const parts = [
      `${this.statusCode}${this.errorMsg === "" ? "" : ` ${show(this.errorMsg)}`}`,
      `scores of ${this.results.size} items`,
      ...(this.targets.length === 0 ? [] : [`targets ${this.targets.join(", ")}`]),
      ...(this.outputs.size === 0 ? [] : [listOutputs(this.outputs)]),
    ];
    return `EasyRecResponse { ${parts.join("; ")} }`;
  }
}

/** Reads scores, which are encoded like tensor values: packed, unpacked, or split into several parts. */
function readScores(reader: WireReader, raw: RawTensor): void {
  while (reader.tag()) {
    if (reader.field !== SCORES || !readArrayValues(reader, raw, "double")) reader.skip();
  }
}

function scoresOf(raw: RawTensor): Float64Values {
  raw.dtype = "DT_DOUBLE";
  return raw.values("DT_DOUBLE") as Float64Values;
}

function readContextFeatures(reader: WireReader, into: Map<string, EasyRecContextValue[]>): void {
  readEntry(
    reader,
    into,
    (): EasyRecContextValue[] => [],
    (values) => {
      reader.nested(() => {
        while (reader.tag()) {
          if (reader.field === FEATURES && reader.wireType === LENGTH_DELIMITED) values.push(readFeature(reader));
          else reader.skip();
        }
      });
      return values;
    },
  );
}

/** Reads a `PBFeature`. If several members are present, the last one is used. */
function readFeature(reader: WireReader): EasyRecContextValue {
  let value: EasyRecContextValue;
  reader.nested(() => {
    while (reader.tag()) {
      const member = MEMBERS[reader.field];
      if (member?.wireType === reader.wireType) value = member.read(reader);
      else reader.skip();
    }
  });
  return value;
}

function readFloat(reader: WireReader): number {
  const start = reader.position;
  // Skip the value first, which checks that all four bytes exist.
  reader.skip();
  const { buffer, byteOffset } = reader.bytes;
  return new DataView(buffer, byteOffset + start, 4).getFloat32(0, true);
}
