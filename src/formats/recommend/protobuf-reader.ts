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

/** The number of members of `PBFeature` in a format. EasyRec has the first four. */
const FEATURE_FIELDS: Readonly<Record<RecommendFormat, number>> = { EasyRec: 4, TorchRec: 30 };

/** The tensor field whose packed values have the encoding of a list's elements. */
const VALUE_FIELDS: Readonly<Record<Scalar, ValueField>> = {
  INT: "int",
  INT64: "int64",
  STRING: "string",
  FLOAT: "float",
  DOUBLE: "double",
};

/**
 * Reads a copy of a serialized `PBRequest`, and checks that it is complete, because its parts are forwarded. Throws a
 * `TypeError` or `RangeError`.
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

  /** Reads the field whose tag was read. Returns false if the format does not have it. */
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
        // Several values of one entry are parts of one message.
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

  /** Reads text that has the same bytes when it is written again. */
  #exactText(): string {
    this.#expect(LENGTH_DELIMITED);
    return this.name();
  }

  /** Reads an entry of a map. `readValue` reads its value. Returns its key. */
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

  /** Checks a message that has one known field, number 1. `check` checks its value. */
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
    // The tensor is not used: reading it checks that the packed values are complete.
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
