import { show } from "../../util/argument-errors.js";
import { checkFeatureName, metaText } from "../recommend/argument-checks.js";
import { RecommendRequest } from "../recommend/recommend-request.js";
import { type FeatureList, featureList } from "../recommend/request-content.js";
import type { Bytes, PredictRequest, RequestOptions } from "../request.js";
import type { TorchRecDTypeName, TorchRecValue } from "./dtype.js";
import { encodeFeature } from "./feature.js";
import { TorchRecResponse } from "./response.js";

/**
 * A request of features and items, for recommendation models of the TorchEasyRec processor. Answers with a
 * `TorchRecResponse`. Every method checks and copies what it is given, so that later changes have no effect.
 *
 * A dtype is a name such as `"INT"`, `"LIST<FLOAT>"` or `"MAP<STRING,DOUBLE>"`, in capital or in small letters. A value
 * that is `null` or `undefined`, an empty list or an empty map goes as the empty text, by which the official SDKs say
 * that it is missing.
 */
export class TorchRecRequest extends RecommendRequest implements PredictRequest<TorchRecResponse> {
  constructor(options: RequestOptions = {}) {
    super("TorchRec", options);
  }

  /** Sets a feature of the user; one of the same name is replaced. */
  addUserFeature<D extends TorchRecDTypeName>(name: string, value: TorchRecValue<D>, dtype: D): this {
    const of = `user feature ${show(checkFeatureName("name", name))}`;
    this.content.userFeatures.set(name, encodeFeature(value, dtype, of));
    return this;
  }

  /**
   * Adds one value to a feature that depends on user and item: call it once for each item, in the order of the item ids.
   */
  addContextFeature<D extends TorchRecDTypeName>(name: string, value: TorchRecValue<D>, dtype: D): this {
    return addValue(this, this.content.contextFeatures, "context feature", name, value, dtype);
  }

  /** Adds one value to a feature of the items: call it once for each item, in the order of the item ids. */
  addItemFeature<D extends TorchRecDTypeName>(name: string, value: TorchRecValue<D>, dtype: D): this {
    return addValue(this, this.content.itemFeatures, "item feature", name, value, dtype);
  }

  /**
   * Sets free data about the request; data of the same key is replaced. Numbers and bigints go as JavaScript writes them:
   * `1` and not `1.0`.
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
