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

/** What stands between a client and its service. */
export type Finding =
  /** The service answered; the way there is free and the token is taken. */
  | "ok"
  /** The gateway or the service refuses the token, or there is none. */
  | "token"
  /** There is no such service or path. */
  | "path"
  /** The service is stopped, starting or scaled to zero. */
  | "not-ready"
  /** The browser blocks the call: the page came over https, the endpoint is http. */
  | "mixed-content"
  /** The browser gives no reason; likely the service does not allow this page's origin. */
  | "cors"
  /** The host cannot be reached, or no instance of the service is found for a direct connection. */
  | "network"
  /** No answer in time. */
  | "timeout"
  /** The service answered, but it fails. */
  | "service"
  /** The client's own settings cannot work. */
  | "settings";

/** The result of `PredictClient.diagnose`. */
export interface Diagnosis {
  readonly ok: boolean;
  readonly finding: Finding;
  /** The finding in words, with what to do about it. */
  readonly message: string;
  /** The status that came, where one came. */
  readonly status: number | undefined;
}

/** Sends one GET request and explains its result, with regard to the address that it was sent to. */
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
  "the service responds and accepts the token. It refuses a GET without a body, as most models do";

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
