import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { isBytes } from "../../util/realms.js";
import { LENGTH_DELIMITED, MAP_KEY, MAP_VALUE, VARINT } from "../protobuf/wire.js";
import { readInt32, WireReader } from "../protobuf/wire-reader.js";
import type { Bytes } from "../request.js";
import { readArrayValues } from "../tensor/array-proto.js";
import type { ValueField } from "../tensor/dtype.js";
import { RawTensor } from "../tensor/raw-tensor.js";
import { FEATURE_KINDS } from "../torchrec/dtype.js";
import * as content from "./request-content.js";
import { type Scalar, wireTypeOf } from "./scalar-values.js";

/** The formats of the recommendation processors. */
export type RecommendFormat = "EasyRec" | "TorchRec";

/** Number of members of `PBFeature` in each format. EasyRec has only the first four members. */
const FEATURE_FIELDS: Readonly<Record<RecommendFormat, number>> = { EasyRec: 4, TorchRec: 30 };

/** The kind of tensor field whose values are encoded like the elements of a list, by element type. */
const VALUE_FIELDS: Readonly<Record<Scalar, ValueField>> = {
  INT: "int",
  INT64: "int64",
  STRING: "string",
  FLOAT: "float",
  DOUBLE: "double",
};

/**
 * Copies a serialized `PBRequest` and reads the copy. Checks that all parts of the message are complete, because they
 * are forwarded unchanged. Throws a `TypeError` or `RangeError`.
 */
export function readFeed(data: Uint8Array, format: RecommendFormat): content.RequestContent {
  if (!isBytes(data)) {
    const entry = `eas-prediction/proto/${format.toLowerCase()}`;
    throw argumentTypeError(
      "ERR_EAS_ARG_FEED",
      `data is ${show(data)}: it must be a Uint8Array with a serialized PBRequest. Serialize a message with toBinary(PBRequestSchema, message) and the schema of ${entry}, or send it as a ProtoRequest`,
    );
  }
  return new FeedReader(new Uint8Array(data), format).read();
}

class FeedReader extends WireReader {
  readonly #content = new content.RequestContent();
  readonly #format: RecommendFormat;

  constructor(bytes: Bytes, format: RecommendFormat) {
    super(bytes, format);
    this.#format = format;
  }

  /** Throws an argument error, because the bytes come from the caller and not from a response. */
  override fail(why: string, offset: number = this.position): never {
    throw argumentRangeError("ERR_EAS_ARG_FEED", `data is not a PBRequest of ${this.format}: ${why} at byte ${offset}`);
  }

  read(): content.RequestContent {
    for (let start = 0; this.tag(); start = this.position) {
      if (!this.#readField()) {
        this.skip();
        this.#content.unknown.push(this.bytes.subarray(start, this.position));
      }
    }
    return this.#content;
  }

  /** Reads the value of the field whose tag was just read. Returns false if the format does not have this field. */
  #readField(): boolean {
    const into = this.#content;
    const { field } = this;
    switch (field) {
      case content.DEBUG_LEVEL:
        into.debugLevel = this.#int32();
        return true;
      case content.FAISS_NEIGH_NUM:
        into.faissNeighNum = this.#int32();
        return true;
      case content.ITEM_IDS:
        into.itemIds.push(this.#exactText());
        return true;
      case content.USER_FEATURES: {
        const parts: Bytes[] = [];
        const name = this.#entry(() => parts.push(this.#feature()));
        // If an entry contains several values, they are parts of the same message.
        into.userFeatures.set(name, concatenated(parts));
        return true;
      }
      case content.CONTEXT_FEATURES:
        this.#featureList(into.contextFeatures);
        return true;
      default:
        if (this.#format === "EasyRec") return false;
    }
    if (field === content.ITEM_FEATURES) {
      this.#featureList(into.itemFeatures);
      return true;
    }
    if (field !== content.META_DATA) return false;
    let value = "";
    const key = this.#entry(() => {
      value = this.#exactText();
    });
    into.metaData.set(key, value);
    return true;
  }

  #expect(wireType: number): void {
    if (this.wireType !== wireType) this.fail(`field ${this.field} has the wire type ${this.wireType}`);
  }

  #int32(): number {
    this.#expect(VARINT);
    return readInt32(this);
  }

  /** Reads text. Fails if the bytes are not UTF-8, because they would change when the text is serialized again. */
  #exactText(): string {
    this.#expect(LENGTH_DELIMITED);
    return this.name();
  }

  /** Reads a map entry and returns its key. Calls `readValue` to read the value. */
  #entry(readValue: () => void): string {
    this.#expect(LENGTH_DELIMITED);
    let key = "";
    this.nested(() => {
      while (this.tag()) {
        if (this.field === MAP_KEY) key = this.#exactText();
        else if (this.field === MAP_VALUE) readValue();
        else this.fail(`unexpected field ${this.field} in a map entry`);
      }
    });
    return key;
  }

  #featureList(into: Map<string, content.FeatureList>): void {
    const list: content.FeatureList = { values: [], unknown: [] };
    const key = this.#entry(() => {
      this.#expect(LENGTH_DELIMITED);
      this.nested(() => {
        for (let start = this.position; this.tag(); start = this.position) {
          if (this.field === content.FEATURES) list.values.push(this.#feature());
          else {
            this.skip();
            list.unknown.push(this.bytes.subarray(start, this.position));
          }
        }
      });
    });
    into.set(key, list);
  }

  /** Checks the next `PBFeature` and returns its bytes. */
  #feature(): Bytes {
    this.#expect(LENGTH_DELIMITED);
    let start = 0;
    this.nested(() => {
      start = this.position;
      while (this.tag()) this.#checkMember();
    });
    return this.bytes.subarray(start, this.position);
  }

  #checkMember(): void {
    const kind = this.field <= FEATURE_FIELDS[this.#format] ? FEATURE_KINDS.get(this.field) : undefined;
    if (kind === undefined) return this.skip();
    const { form, key, value } = kind;
    switch (form) {
      case "scalar":
        return this.#checkScalar(value);
      case "list":
        return this.#eachElement(() => this.#checkElements(value));
      case "lists":
        return this.#eachElement(() => this.#eachElement(() => this.#checkElements(value)));
      case "map":
        return this.#eachElement(() => {
          this.#expect(LENGTH_DELIMITED);
          this.nested(() => {
            while (this.tag()) {
              if (this.field > MAP_VALUE) this.fail(`unexpected field ${this.field} in a map entry`);
              this.#checkScalar(this.field === MAP_KEY ? key : value);
            }
          });
        });
    }
  }

  /** Checks a message whose only known field has number 1. Calls `check` for each value in this field. */
  #eachElement(check: () => void): void {
    this.#expect(LENGTH_DELIMITED);
    this.nested(() => {
      while (this.tag()) {
        if (this.field === 1) check();
        else this.skip();
      }
    });
  }

  #checkScalar(scalar: Scalar): void {
    this.#expect(wireTypeOf(scalar));
    if (scalar === "STRING") this.#exactText();
    else this.skip();
  }

  #checkElements(scalar: Scalar): void {
    if (scalar === "STRING") return this.#checkScalar(scalar);
    const { field, wireType } = this;
    // Discard the tensor: the values are read only to check that they are complete.
    if (!readArrayValues(this, new RawTensor(this.bytes, ""), VALUE_FIELDS[scalar])) {
      this.fail(`field ${field} has the wire type ${wireType}`);
    }
  }
}

function concatenated(parts: readonly Bytes[]): Bytes {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
