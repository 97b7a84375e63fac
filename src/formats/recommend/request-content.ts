import { argumentRangeError, show } from "../../util/argument-errors.js";
import { type EncodedField, int32, message, NOTHING, serialized, text } from "../protobuf/encoded-field.js";
import { MAP_KEY, MAP_VALUE } from "../protobuf/wire.js";
import type { Bytes } from "../request.js";

/** Field numbers of `PBRequest`, which both formats share; EasyRec has none beyond 5. */
export const DEBUG_LEVEL = 1;
export const USER_FEATURES = 2;
export const ITEM_IDS = 3;
export const CONTEXT_FEATURES = 4;
export const FAISS_NEIGH_NUM = 5;
export const ITEM_FEATURES = 6;
export const META_DATA = 7;

/** The only field of `ContextFeatures`. */
export const FEATURES = 1;

/** The values of one context or item feature. */
export interface FeatureList {
  /** A serialized `PBFeature` each. */
  readonly values: Uint8Array[];
  /** Fields that this SDK does not know, as they were fed. */
  readonly unknown: Uint8Array[];
}

/** What a request holds: features as the bytes they are sent as, so that no later change of the caller's has an effect. */
export class RequestContent {
  // Undefined until they are set, by which feeds tell whether they have them.
  debugLevel: number | undefined = undefined;
  faissNeighNum: number | undefined = undefined;
  readonly userFeatures: Map<string, Uint8Array> = new Map();
  readonly itemIds: string[] = [];
  readonly contextFeatures: Map<string, FeatureList> = new Map();
  readonly itemFeatures: Map<string, FeatureList> = new Map();
  readonly metaData: Map<string, string> = new Map();
  /** Fields that this SDK does not know, as they were fed. */
  readonly unknown: Uint8Array[] = [];
  /** How many item ids there were before all but the first were taken away. */
  #itemsBefore: number | undefined = undefined;

  addItemIds(ids: readonly string[]): void {
    for (const id of ids) this.itemIds.push(id);
    if (ids.length > 0) this.#itemsBefore = undefined;
  }

  /** Takes away all item ids but the first. */
  keepOneItemId(): void {
    if (this.itemIds.length === 0) {
      throw argumentRangeError("ERR_EAS_ARG_FEED", "there is no item id to keep: add item ids first");
    }
    this.#itemsBefore ??= this.itemIds.length;
    this.itemIds.length = 1;
  }

  /** Takes over all of `other`, as protobuf merges messages. */
  merge(other: RequestContent): void {
    this.debugLevel = other.debugLevel ?? this.debugLevel;
    this.faissNeighNum = other.faissNeighNum ?? this.faissNeighNum;
    this.addItemIds(other.itemIds);
    for (const field of other.unknown) this.unknown.push(field);
    // An entry of a map is replaced as a whole.
    takeOver(this.userFeatures, other.userFeatures);
    takeOver(this.contextFeatures, other.contextFeatures);
    takeOver(this.itemFeatures, other.itemFeatures);
    takeOver(this.metaData, other.metaData);
  }

  /** The serialized message. Throws when features and items cannot be joined by position. */
  toBinary(): Bytes {
    const items = this.#itemsBefore ?? this.itemIds.length;
    checkLengths("context feature", this.contextFeatures, items);
    checkLengths("item feature", this.itemFeatures, items);
    return serialized([
      this.debugLevel ? int32(DEBUG_LEVEL, this.debugLevel) : NOTHING,
      ...mapEntries(USER_FEATURES, this.userFeatures, (value) => text(MAP_VALUE, value)),
      ...this.itemIds.map((id) => text(ITEM_IDS, id)),
      ...mapEntries(CONTEXT_FEATURES, this.contextFeatures, encodeFeatureList),
      this.faissNeighNum ? int32(FAISS_NEIGH_NUM, this.faissNeighNum) : NOTHING,
      ...mapEntries(ITEM_FEATURES, this.itemFeatures, encodeFeatureList),
      ...mapEntries(META_DATA, this.metaData, (value) => text(MAP_VALUE, value)),
      ...this.unknown.map(verbatim),
    ]);
  }

  /** For people: names and counts. No values, which may be about persons. */
  toString(): string {
    const lists = (features: ReadonlyMap<string, FeatureList>) =>
      Array.from(features, ([name, { values }]) => `${name} (${values.length})`);
    const parts = [
      ["user", Array.from(this.userFeatures.keys())],
      ["context", lists(this.contextFeatures)],
      ["item", lists(this.itemFeatures)],
      ["meta data", Array.from(this.metaData.keys())],
    ] as const;
    return [
      ...parts.flatMap(([kind, names]) => (names.length === 0 ? [] : [`${kind}: ${names.join(", ")}`])),
      `${this.itemIds.length} item ids`,
      ...(this.faissNeighNum ? [`${this.faissNeighNum} neighbours`] : []),
      ...(this.debugLevel ? [`debug level ${this.debugLevel}`] : []),
    ].join("; ");
  }
}

/** The values of a feature, which is made when it is not there yet. */
export function featureList(features: Map<string, FeatureList>, name: string): FeatureList {
  const list = features.get(name) ?? { values: [], unknown: [] };
  features.set(name, list);
  return list;
}

function takeOver<V>(into: Map<string, V>, from: ReadonlyMap<string, V>): void {
  for (const [key, value] of from) into.set(key, value);
}

function mapEntries<V>(field: number, map: ReadonlyMap<string, V>, encode: (value: V) => EncodedField): EncodedField[] {
  // The empty key too is written.
  return Array.from(map, ([key, value]) => message(field, [text(MAP_KEY, key), encode(value)]));
}

function encodeFeatureList({ values, unknown }: FeatureList): EncodedField {
  return message(MAP_VALUE, [...values.map((value) => text(FEATURES, value)), ...unknown.map(verbatim)]);
}

function verbatim(bytes: Uint8Array): EncodedField {
  return { size: bytes.length, write: (writer) => writer.raw(bytes) };
}

/**
 * Refuses lists that the service could not join by position. A feature with one value may stand beside any, since a
 * processor may take it for all items; that is our reading, as nothing is written about it. One without any says
 * nothing of any item.
 */
function checkLengths(kind: string, features: ReadonlyMap<string, FeatureList>, items: number): void {
  const rule = "the service matches values to items by position, so give one value for each item, or a single value";
  let first: { readonly name: string; readonly length: number } | undefined;
  for (const [name, { values }] of features) {
    const { length } = values;
    if (length <= 1) continue;
    if (items > 0 && length !== items) {
      const there = items === 1 ? "there is 1 item id" : `there are ${items} item ids`;
      throw argumentRangeError("ERR_EAS_ARG_FEED", `${kind} ${show(name)} has ${length} values, but ${there}: ${rule}`);
    }
    first ??= { name, length };
    if (length !== first.length) {
      throw argumentRangeError(
        "ERR_EAS_ARG_FEED",
        `${kind} ${show(name)} has ${length} values, but ${show(first.name)} has ${first.length}: ${rule}`,
      );
    }
  }
}
