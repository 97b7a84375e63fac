import type { CallPlan } from "../../call/call-plan.js";
import type { ConnectionPool } from "../../call/connections/connection-pool.js";
import type { CallOptions } from "../../config/options.js";
import type { Settings } from "../../config/settings.js";
import {
  EasClosedError,
  EasDiscoveryError,
  EasHttpError,
  EasNetworkError,
  EasTimeoutError,
  EasUnsupportedError,
  isEasError,
} from "../../errors.js";
import { messageOf } from "../../util/realms.js";
import { addressAdvice } from "./address-advice.js";
import { isAnsweredByModel, notReadyReason } from "./not-ready.js";
import { probe, probePlan } from "./probe.js";

/** The state of the connection between a client and its service. */
export type Finding =
  /** The service responded and accepts the token. */
  | "ok"
  /** The gateway or the service refuses the token, or the client has no token. */
  | "token"
  /** The service or the path does not exist. */
  | "path"
  /** The service is stopped, starting or scaled to zero. */
  | "not-ready"
  /** The browser blocks the call, because the page was loaded over https and the endpoint is http. */
  | "mixed-content"
  /** The browser gives no reason; probably the service does not allow this page's origin. */
  | "cors"
  /** The host cannot be reached, or discovery finds no instance of the service. */
  | "network"
  /** The service did not respond within the timeout. */
  | "timeout"
  /** The service responded with another error. */
  | "service"
  /** The settings of the client are invalid. */
  | "settings";

/** The result of `PredictClient.diagnose`. */
export interface Diagnosis {
  /** Whether predictions can succeed, which is the case only if the finding is `"ok"`. */
  readonly ok: boolean;
  /** The category of the result. */
  readonly finding: Finding;
  /** Explanation of the finding and advice. */
  readonly message: string;
  /** The HTTP status; undefined if no response was received. */
  readonly status: number | undefined;
}

/** Implements `PredictClient.diagnose`. Loaded on first use. */
export async function diagnose(
  pool: ConnectionPool,
  settings: Settings,
  call: Pick<CallOptions, "path" | "timeout" | "signal">,
): Promise<Diagnosis> {
  let plan: CallPlan | undefined;
  try {
    pool.checkOpen();
    plan = probePlan(pool, settings, call);
    const status = await probe(pool, settings, { ...call, retryCount: 0 });
    return { ok: true, finding: "ok", message: `the service responds (${status}) and accepts the token`, status };
  } catch (error) {
    const advice = plan && addressAdvice(plan, error);
    const finding = advice?.finding ?? findingOf(error);
    const message = finding === "ok" ? OK_DESPITE_STATUS : messageOf(error);
    return {
      ok: finding === "ok",
      finding,
      message: advice ? `${message}. ${advice.text}` : message,
      status: error instanceof EasHttpError ? error.status : undefined,
    };
  }
}

const OK_DESPITE_STATUS =
  "the service responds and accepts the token. Like most models, it refuses a GET without a body";

function findingOf(error: unknown): Finding {
  if (error instanceof EasHttpError) return findingOfStatus(error);
  if (error instanceof EasTimeoutError) return "timeout";
  if (error instanceof EasDiscoveryError) return "network";
  if (error instanceof EasNetworkError) return error.reason ?? "network";
  const isOfSettings = error instanceof EasUnsupportedError || error instanceof EasClosedError;
  return isEasError(error) && !isOfSettings ? "service" : "settings";
}

function findingOfStatus(error: EasHttpError): Finding {
  if (notReadyReason(error) !== undefined) return "not-ready";
  if (isAnsweredByModel(error)) return "ok";
  if (error.status === 401 || error.status === 403) return "token";
  return error.status === 404 ? "path" : "service";
}
