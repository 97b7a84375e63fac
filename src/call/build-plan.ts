import { checkHeaders, mergeHeaders } from "../config/headers.js";
import { hooksOf } from "../config/hooks.js";
import {
  type Auth,
  CALL_OPTIONS,
  type CallOptions,
  DEFAULT_TIMEOUT_MS,
  DEFAULT_TOTAL_TIMEOUT_MS,
  LONG_TIMEOUT_MS,
  type Method,
  type Preset,
  SHARED_GATEWAY_MAX_REQUEST_BYTES,
} from "../config/options.js";
import { CHECKS, routeOf, type Settings } from "../config/settings.js";
import { joinPath, type Suffix, suffixOf } from "../config/url.js";
import { checkFunction, checkPreset, checkSignal } from "../config/validate.js";
import { gatewayTarget, type Target } from "../endpoint/parse-endpoint.js";
import type { HeaderPair, Platform } from "../platform/contract.js";
import { argumentRangeError, argumentTypeError, showUrl } from "../util/argument-errors.js";
import { checkOptionNames } from "../util/option-names.js";
import { fixedHeaders, resolveAuth } from "./auth.js";
import type { CallPlan, GivenOptions } from "./call-plan.js";
import { decodingOf } from "./decoding/decoding.js";

/** What all calls under the same settings have in common. */
export interface CallTemplate {
  readonly target: Target;
  readonly plan: CallPlan;
  readonly maxRequestBytes: number;
}

/**
 * Works out what all calls under `settings` have in common; throws for what cannot work together. `contentType` is sent
 * where neither the settings nor a request say one; without it none is.
 */
export function buildTemplate(settings: Settings, platform: Platform, defaultContentType?: string): CallTemplate {
  const route = routeOf(settings);
  const target = route?.target ?? gatewayTarget(settings, platform.env);
  const auth = resolveAuth(settings.auth, platform, { ...target, method: "POST" });
  const ownContentType = settings.contentType ?? new Map(settings.headers).get("content-type");
  const contentType = ownContentType ?? defaultContentType;
  const headers =
    contentType === undefined ? settings.headers : mergeHeaders(settings.headers, [["content-type", contentType]]);
  const { droppedHeaders } = platform;
  const suffix = suffixOf(requestPathOf(settings, target), undefined);
  const { isSharedGateway } = target;
  return {
    target,
    plan: {
      ...settings,
      ...presetOf(settings.preset, settings),
      given: settings,
      hasContentType: ownContentType !== undefined,
      hooks: hooksOf(settings),
      kind: "predict",
      isLongLived: false,
      method: "POST",
      target,
      route,
      suffix,
      ...pathsOf(target, suffix),
      ...planHeaders(headers, { token: settings.token, auth, droppedHeaders }),
      droppedHeaders,
      auth,
      signal: undefined,
      decoding: decodingOf(settings.decompression, settings.compression),
    },
    maxRequestBytes: settings.maxRequestBytes ?? (isSharedGateway ? SHARED_GATEWAY_MAX_REQUEST_BYTES : Infinity),
  };
}

/** The path of calls that set none: the client's own, or that of the endpoint. */
function requestPathOf({ requestPath }: Settings, { requestPath: pasted }: Target): string {
  if (requestPath === "" || pasted === "" || requestPath === pasted) return requestPath || pasted;
  throw argumentTypeError(
    "ERR_EAS_ARG_PATH",
    `requestPath is ${showUrl(requestPath)}, but the endpoint has the path ${showUrl(pasted)}: leave one out`,
  );
}

/** What a preset sets; options that are `given` override it. */
function presetOf(
  preset: Preset | undefined,
  { timeout, totalTimeout, retryOn, hedgeAfter }: GivenOptions,
): Pick<CallPlan, "timeout" | "totalTimeout" | "retryOn" | "hedgeAfter" | "runsOnce" | "waitForReady"> {
  const isLong = preset === "long-running";
  return {
    timeout: timeout ?? (isLong ? LONG_TIMEOUT_MS : DEFAULT_TIMEOUT_MS),
    totalTimeout: totalTimeout ?? (isLong ? Number.POSITIVE_INFINITY : DEFAULT_TOTAL_TIMEOUT_MS),
    retryOn,
    // A second attempt in parallel would compute everything twice.
    hedgeAfter: isLong ? undefined : hedgeAfter,
    runsOnce: isLong,
    waitForReady: isLong,
  };
}

/** Paths of OpenAI's API: text is sent as JSON there, and a service is likely to be a language model. */
const OPENAI_PATH = /^[^?]*\/v1(?:[/?]|$)/;

/** Whether a call goes to a path of OpenAI's API. Behind `/api/predict/`, a service may be named "v1". */
export function isOpenAIPath({ target, suffix, path }: Pick<CallPlan, "target" | "suffix" | "path">): boolean {
  return OPENAI_PATH.test(target.isPredict ? suffix.wire : path);
}

function pathsOf({ path, query, resource }: Target, { wire, signed }: Suffix): Pick<CallPlan, "path" | "resource"> {
  return { path: joinPath(path, query, wire), resource: joinPath(resource, query, signed) };
}

/** A plan for what is never signed, such as a bare GET: with the raw token, or with `Bearer` where the client says so. */
export function unsignedPlan(settings: Settings, platform: Platform): CallPlan {
  const auth = settings.auth === "bearer" ? "bearer" : "token";
  return buildTemplate({ ...settings, auth }, platform).plan;
}

/**
 * The same for calls whose answer is read while it comes: repeated only when they were certainly not begun, without the times
 * of other calls, and never signed unless `auth` says so, since only a model's own interface takes signatures.
 */
export function forStreams(
  template: CallTemplate,
  auth: Auth,
  waitForReady: CallPlan["waitForReady"] = template.plan.waitForReady,
): CallTemplate {
  const streamed: CallPlan = {
    ...template.plan,
    timeout: Number.POSITIVE_INFINITY,
    totalTimeout: Number.POSITIVE_INFINITY,
    kind: "stream",
    hedgeAfter: undefined,
    isLongLived: true,
    waitForReady,
  };
  return { ...template, plan: withoutAutoSignature(streamed, auth) };
}

/** A plan for another method than POST: signed only if `auth` requires it, and never sent twice at the same time. */
export function withMethod(plan: CallPlan, method: Method, auth: Auth): CallPlan {
  return method === "POST" ? plan : withoutAutoSignature({ ...plan, method, hedgeAfter: undefined }, auth);
}

/** A plan with the raw token in place of a signature that `"auto"` has chosen. */
function withoutAutoSignature(plan: CallPlan, auth: Auth): CallPlan {
  if (plan.auth !== "signature" || auth === "signature") return plan;
  const unsigned = { ...plan, auth: "token" as const };
  return { ...unsigned, ...planHeaders(plan.headers, unsigned) };
}

/** A plan with the options of one call above it. */
export function withCallOptions(inherited: CallPlan, call: CallOptions): CallPlan {
  checkOptionNames("call options", call, CALL_OPTIONS);
  const { path, query, headers, contentType, preset, signal, onUploadProgress } = call;
  const added = headers === undefined ? [] : checkHeaders(headers);
  if (contentType !== undefined) added.push(["content-type", CHECKS.contentType("contentType", contentType) as string]);
  const { target, given } = inherited;
  const suffix =
    path === undefined && query === undefined ? inherited.suffix : suffixOf(path ?? inherited.suffix.signed, query);
  let plan: CallPlan = { ...inherited, suffix, ...pathsOf(target, suffix) };
  if (preset !== undefined) {
    plan = { ...plan, ...presetOf(checkPreset(preset), preset === "long-running" ? {} : given) };
  } else if (plan.readsJson && given.preset === undefined && isOpenAIPath(plan)) {
    plan = { ...plan, ...presetOf("long-running", given) };
  }
  const checked = <K extends "timeout" | "totalTimeout" | "retryCount" | "retryOn" | "zeroCopy">(
    name: K,
  ): CallPlan[K] => {
    const value = call[name];
    return value === undefined ? plan[name] : (CHECKS[name](name, value) as unknown as CallPlan[K]);
  };
  return {
    ...(added.length === 0 ? plan : withHeaders(plan, added)),
    hasContentType: plan.hasContentType || added.some(([name]) => name === "content-type"),
    timeout: checked("timeout"),
    totalTimeout: checked("totalTimeout"),
    retryCount: checked("retryCount"),
    retryOn: checked("retryOn"),
    zeroCopy: checked("zeroCopy"),
    signal: signal === undefined ? undefined : checkSignal(signal),
    onUploadProgress: onUploadProgress === undefined ? undefined : checkFunction("onUploadProgress", onUploadProgress),
  };
}

/** A plan without the default content type, for a request without a body. */
export function withoutContentType(plan: CallPlan): CallPlan {
  const headers = plan.headers.filter(([name]) => name !== "content-type");
  return { ...plan, ...planHeaders(headers, plan) };
}

/** Settings for calls that read JSON: they ask for it, unless the client asks for something of its own. */
export function forJson(template: CallTemplate): CallTemplate {
  const { plan } = template;
  const accepting = plan.headers.some(([name]) => name === "accept")
    ? plan
    : withHeaders(plan, [["accept", "application/json"]]);
  return { ...template, plan: { ...accepting, readsJson: true } };
}

/** A plan with more headers, which stand above those that it has. */
export function withHeaders(plan: CallPlan, added: readonly HeaderPair[]): CallPlan {
  return { ...plan, ...planHeaders(mergeHeaders(plan.headers, added), plan) };
}

/**
 * What a plan says of its headers. Refuses those that the runtime or the authorization sets itself: they would be silently
 * dropped, or sent twice.
 */
function planHeaders(
  headers: readonly HeaderPair[],
  { token, auth, droppedHeaders }: Pick<CallPlan, "token" | "auth" | "droppedHeaders">,
): Pick<CallPlan, "headers" | "fixedHeaders" | "contentType"> {
  const owned = !token ? [] : auth === "signature" ? ["authorization", "date", "content-md5"] : ["authorization"];
  for (const [name] of headers) {
    if (droppedHeaders?.test(name)) {
      throw argumentTypeError(
        "ERR_EAS_ARG_HEADER",
        `header ${name} cannot be set: browsers remove it without an error`,
      );
    }
    if (owned.includes(name)) {
      throw argumentTypeError(
        "ERR_EAS_ARG_HEADER",
        `header ${name} is set by the token (auth "${auth}"): leave out the header or the token`,
      );
    }
  }
  return {
    headers,
    fixedHeaders: fixedHeaders(headers, auth, token),
    contentType: new Map(headers).get("content-type") ?? "",
  };
}

/** The error for a body over the limit. */
export function bodyTooLarge(length: number, { target, maxRequestBytes }: CallTemplate): RangeError {
  const whose = target.isSharedGateway ? "the maximum of the shared gateway" : "maxRequestBytes";
  return argumentRangeError(
    "ERR_EAS_ARG_BODY_SIZE",
    `the request body has ${length} bytes, and the limit is ${maxRequestBytes} (${whose}): send less or smaller values ` +
      "(an encoded image, UINT8 in place of FLOAT); compress it (setCompression, with metadata.rpc.decompressor in the " +
      "service's configuration); or put the data into object storage and send its URL. For a dedicated gateway, set maxRequestBytes",
  );
}
