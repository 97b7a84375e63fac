import { argumentRangeError, show } from "../../util/argument-errors.js";
import { type EncodedField, int32, message, NOTHING, serialized, text } from "../protobuf/encoded-field.js";
import { MAP_KEY, MAP_VALUE } from "../protobuf/wire.js";
import type { Bytes } from "../request.js";

/** Field numbers of `PBRequest`, which both formats share. EasyRec has only the fields up to number 5. */
export const DEBUG_LEVEL = 1;
export const USER_FEATURES = 2;
export const ITEM_IDS = 3;
export const CONTEXT_FEATURES = 4;
export const FAISS_NEIGH_NUM = 5;
export const ITEM_FEATURES = 6;
export const META_DATA = 7;

/** Field number of the only field in `ContextFeatures`. */
export const FEATURES = 1;

/** The values of a context or item feature. */
export interface FeatureList {
  /** Serialized `PBFeature`s. */
  readonly values: Uint8Array[];
  /** Unknown fields from an added message, unchanged. */
  readonly unknown: Uint8Array[];
}

/**
 * A request's content. Features are stored as serialized bytes, so that later changes to the caller's values have no
 * effect.
 */
export class RequestContent {
  // Undefined until set, so that `merge` can tell whether to replace it.
  debugLevel: number | undefined = undefined;
  faissNeighNum: number | undefined = undefined;
  readonly userFeatures: Map<string, Uint8Array> = new Map();
  readonly itemIds: string[] = [];
  readonly contextFeatures: Map<string, FeatureList> = new Map();
  readonly itemFeatures: Map<string, FeatureList> = new Map();
  readonly metaData: Map<string, string> = new Map();
  /** Unknown fields from an added message, unchanged. */
  readonly unknown: Uint8Array[] = [];
  /** The number of item ids before `keepOneItemId` removed all but the first. */
  #itemsBefore: number | undefined = undefined;

  addItemIds(ids: readonly string[]): void {
    for (const id of ids) this.itemIds.push(id);
    if (ids.length > 0) this.#itemsBefore = undefined;
  }

  /** Removes all item ids except the first. */
  keepOneItemId(): void {
    if (this.itemIds.length === 0) {
      throw argumentRangeError("ERR_EAS_ARG_FEED", "there is no item id to keep: add item ids first");
    }
    this.#itemsBefore ??= this.itemIds.length;
    this.itemIds.length = 1;
  }

  /** Merges `other` into this content, as protobuf merges messages. */
  merge(other: RequestContent): void {
    this.debugLevel = other.debugLevel ?? this.debugLevel;
    this.faissNeighNum = other.faissNeighNum ?? this.faissNeighNum;
    this.addItemIds(other.itemIds);
    for (const field of other.unknown) this.unknown.push(field);
    // Map entries are replaced, not merged.
    takeOver(this.userFeatures, other.userFeatures);
    takeOver(this.contextFeatures, other.contextFeatures);
    takeOver(this.itemFeatures, other.itemFeatures);
    takeOver(this.metaData, other.metaData);
  }

  /** Serializes the message. Throws a `RangeError` if features and items cannot be matched by position. */
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

  /** Returns names and counts for logs, but no values, because they may be personal data. */
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
      ...(this.faissNeighNum ? [`${this.faissNeighNum} neighbors`] : []),
      ...(this.debugLevel ? [`debug level ${this.debugLevel}`] : []),
    ].join("; ");
  }
}

/** Returns the values of a feature. Adds the feature if it does not exist. */
export function featureList(features: Map<string, FeatureList>, name: string): FeatureList {
  const list = features.get(name) ?? { values: [], unknown: [] };
  features.set(name, list);
  return list;
}

function takeOver<V>(into: Map<string, V>, from: ReadonlyMap<string, V>): void {
  for (const [key, value] of from) into.set(key, value);
}

function mapEntries<V>(field: number, map: ReadonlyMap<string, V>, encode: (value: V) => EncodedField): EncodedField[] {
  // The key is written even if it is empty.
  return Array.from(map, ([key, value]) => message(field, [text(MAP_KEY, key), encode(value)]));
}

function encodeFeatureList({ values, unknown }: FeatureList): EncodedField {
  return message(MAP_VALUE, [...values.map((value) => text(FEATURES, value)), ...unknown.map(verbatim)]);
}

function verbatim(bytes: Uint8Array): EncodedField {
  return { size: bytes.length, write: (writer) => writer.raw(bytes) };
}

/**
 * Throws a `RangeError` for lists that the service cannot match by position. Accepts a feature with one value, because
 * a processor may apply it to all items (this is not documented). Ignores a feature without values.
 */
function checkLengths(kind: string, features: ReadonlyMap<string, FeatureList>, items: number): void {
  const rule = "the service matches values to items by position, so pass one value for each item, or a single value";
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
