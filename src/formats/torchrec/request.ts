import { show } from "../../util/argument-errors.js";
import { checkFeatureName, metaText } from "../recommend/argument-checks.js";
import { RecommendRequest } from "../recommend/recommend-request.js";
import { type FeatureList, featureList } from "../recommend/request-content.js";
import type { Bytes, PredictRequest, RequestOptions } from "../request.js";
import type { TorchRecDTypeName, TorchRecValue } from "./dtype.js";
import { encodeFeature } from "./feature.js";
import { TorchRecResponse } from "./response.js";

/**
 * A request with features and items for a recommendation model on the TorchEasyRec processor. `predict` resolves with a
 * `TorchRecResponse`. Every method checks and copies its arguments, so later changes have no effect.
 *
 * A dtype is a name such as `"INT"`, `"LIST<FLOAT>"` or `"MAP<STRING,DOUBLE>"`, in upper or lower case. `null`,
 * `undefined`, an empty list and an empty map are sent as the empty string, as the official SDKs do for missing values.
 *
 * @example
 * const request = new TorchRecRequest()
 *   .addUserFeature("age", 30, "INT")
 *   .addUserFeature("tags", ["a", "b"], "LIST<STRING>")
 *   .addItemId("item-1");
 * const response = await client.predict(request);
 * response.getValues("probs", "DT_FLOAT"); // Float32Array
 */
export class TorchRecRequest extends RecommendRequest implements PredictRequest<TorchRecResponse> {
  constructor(options: RequestOptions = {}) {
    super("TorchRec", options);
  }

  /**
   * Sets a user feature. Replaces any feature of the same name. Throws a `TypeError` or `RangeError` if the value does
   * not fit the dtype.
   */
  addUserFeature<D extends TorchRecDTypeName>(name: string, value: TorchRecValue<D>, dtype: D): this {
    const of = `user feature ${show(checkFeatureName("name", name))}`;
    this.content.userFeatures.set(name, encodeFeature(value, dtype, of));
    return this;
  }

  /**
   * Adds a value to a feature that depends on the user and the item. Call this method once for each item, in the order
   * of the item ids.
   */
  addContextFeature<D extends TorchRecDTypeName>(name: string, value: TorchRecValue<D>, dtype: D): this {
    return addValue(this, this.content.contextFeatures, "context feature", name, value, dtype);
  }

  /** Adds a value to an item feature. Call this method once for each item, in the order of the item ids. */
  addItemFeature<D extends TorchRecDTypeName>(name: string, value: TorchRecValue<D>, dtype: D): this {
    return addValue(this, this.content.itemFeatures, "item feature", name, value, dtype);
  }

  /**
   * Sets an entry in the request's metadata. Replaces any entry with the same key. A number is sent as text in
   * JavaScript's format: `1`, not `1.0`.
   */
  addMetaData(key: string, value: string | number | bigint): this {
    checkFeatureName("key", key);
    this.content.metaData.set(key, metaText(key, value));
    return this;
  }

  parseResponse(body: Bytes): TorchRecResponse {
    return new TorchRecResponse(body);
  }
}

function addValue<R>(
  request: R,
  features: Map<string, FeatureList>,
  kind: string,
  name: string,
  value: unknown,
  dtype: unknown,
): R {
  const encoded = encodeFeature(value, dtype, `${kind} ${show(checkFeatureName("name", name))}`);
  featureList(features, name).values.push(encoded);
  return request;
}
