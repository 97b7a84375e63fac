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

/** The base plan for all calls that use the same settings. */
export interface CallTemplate {
  readonly target: Target;
  readonly plan: CallPlan;
  readonly maxRequestBytes: number;
}

/**
 * Builds the template for all calls that use `settings`. `defaultContentType` applies if neither the settings nor the
 * request set a content type. Throws a `TypeError` for contradictory settings.
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

/** Returns the default path for calls: the `requestPath` option, or the path in the endpoint. */
function requestPathOf({ requestPath }: Settings, { requestPath: pasted }: Target): string {
  if (requestPath === "" || pasted === "" || requestPath === pasted) return requestPath || pasted;
  throw argumentTypeError(
    "ERR_EAS_ARG_PATH",
    `requestPath is ${showUrl(requestPath)}, but the endpoint has the path ${showUrl(pasted)}: leave one out`,
  );
}

/** Returns the options that a preset determines. Options that are set explicitly override the preset. */
function presetOf(
  preset: Preset | undefined,
  { timeout, totalTimeout, retryOn, hedgeAfter }: GivenOptions,
): Pick<CallPlan, "timeout" | "totalTimeout" | "retryOn" | "hedgeAfter" | "runsOnce" | "waitForReady"> {
  const isLong = preset === "long-running";
  return {
    timeout: timeout ?? (isLong ? LONG_TIMEOUT_MS : DEFAULT_TIMEOUT_MS),
    totalTimeout: totalTimeout ?? (isLong ? Number.POSITIVE_INFINITY : DEFAULT_TOTAL_TIMEOUT_MS),
    retryOn,
    // Do not hedge a long computation, because a parallel attempt would double its load.
    hedgeAfter: isLong ? undefined : hedgeAfter,
    runsOnce: isLong,
    waitForReady: isLong,
  };
}

/**
 * Matches OpenAI API paths. Text sent to these paths is labeled as JSON, and the service is assumed to be a language
 * model.
 */
const OPENAI_PATH = /^[^?]*\/v1(?:[/?]|$)/;

/** Whether a call goes to an OpenAI API path. Ignores the service name, which may be "v1". */
export function isOpenAIPath({ target, suffix, path }: Pick<CallPlan, "target" | "suffix" | "path">): boolean {
  return OPENAI_PATH.test(target.isPredict ? suffix.wire : path);
}

function pathsOf({ path, query, resource }: Target, { wire, signed }: Suffix): Pick<CallPlan, "path" | "resource"> {
  return { path: joinPath(path, query, wire), resource: joinPath(resource, query, signed) };
}

/**
 * Returns a plan for unsigned requests, such as a GET. The token is sent raw, or as `Bearer` if the settings require
 * it.
 */
export function unsignedPlan(settings: Settings, platform: Platform): CallPlan {
  const auth = settings.auth === "bearer" ? "bearer" : "token";
  return buildTemplate({ ...settings, auth }, platform).plan;
}

/**
 * Returns the template for streamed calls. Streamed calls have no default timeouts and are retried only if the service
 * cannot have started them. They are signed only if `auth` requires it, because only EAS's own API accepts signatures.
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

/** Returns the plan for an HTTP method. Methods other than POST are not hedged, and are signed only if `auth` requires it. */
export function withMethod(plan: CallPlan, method: Method, auth: Auth): CallPlan {
  return method === "POST" ? plan : withoutAutoSignature({ ...plan, method, hedgeAfter: undefined }, auth);
}

/** If `"auto"` selected a signature, replaces the signature with the raw token. */
function withoutAutoSignature(plan: CallPlan, auth: Auth): CallPlan {
  if (plan.auth !== "signature" || auth === "signature") return plan;
  const unsigned = { ...plan, auth: "token" as const };
  return { ...unsigned, ...planHeaders(plan.headers, unsigned) };
}

/**
 * Applies the options for one call to a plan and returns the new plan. Throws a `TypeError` or `RangeError` for an
 * invalid option.
 */
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

/** Returns the plan for a request without a body, which has no default content type. */
export function withoutContentType(plan: CallPlan): CallPlan {
  const headers = plan.headers.filter(([name]) => name !== "content-type");
  return { ...plan, ...planHeaders(headers, plan) };
}

/** Returns the template for calls that read JSON. Adds `Accept: application/json` unless the client sets `Accept`. */
export function forJson(template: CallTemplate): CallTemplate {
  const { plan } = template;
  const accepting = plan.headers.some(([name]) => name === "accept")
    ? plan
    : withHeaders(plan, [["accept", "application/json"]]);
  return { ...template, plan: { ...accepting, readsJson: true } };
}

/** Returns a plan with additional headers. They override existing headers of the same name. */
export function withHeaders(plan: CallPlan, added: readonly HeaderPair[]): CallPlan {
  return { ...plan, ...planHeaders(mergeHeaders(plan.headers, added), plan) };
}

/**
 * Returns the plan properties that depend on the headers. Throws a `TypeError` for headers that the runtime or the
 * authorization sets, because such headers would be dropped silently or sent twice.
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

/** Returns the error for a request body that exceeds the limit. */
export function bodyTooLarge(length: number, { target, maxRequestBytes }: CallTemplate): RangeError {
  const whose = target.isSharedGateway ? "the maximum of the shared gateway" : "maxRequestBytes";
  return argumentRangeError(
    "ERR_EAS_ARG_BODY_SIZE",
    `the request body is ${length} bytes, but the limit is ${maxRequestBytes} (${whose}): send fewer or smaller values ` +
      "(an encoded image, UINT8 instead of FLOAT); compress it (setCompression, with metadata.rpc.decompressor in the " +
      "service's configuration); or store the data in object storage and send its URL. For a dedicated gateway, set maxRequestBytes",
  );
}
