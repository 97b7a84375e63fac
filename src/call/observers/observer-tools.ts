import { checkHeaders, mergeHeaders } from "../../config/headers.js";
import { oneLineMessage } from "../../config/hooks.js";
import { argumentTypeError } from "../../util/argument-errors.js";
import { clockNow } from "../../util/timing/clock.js";
import { redactHeaders } from "../failures/redact.js";
import { notify } from "./notify.js";

/**
 * Functions passed to `CallObserver`, which is loaded on first use. If `CallObserver` imported them, bundlers would
 * move them to a shared chunk, which every page would have to load as an extra file.
 */
export interface ObserverTools {
  readonly argumentTypeError: typeof argumentTypeError;
  readonly clockNow: typeof clockNow;
  readonly checkHeaders: typeof checkHeaders;
  readonly mergeHeaders: typeof mergeHeaders;
  readonly oneLineMessage: typeof oneLineMessage;
  readonly redactHeaders: typeof redactHeaders;
  readonly notify: typeof notify;
}

/** The functions that `CallObserver` needs. */
export const OBSERVER_TOOLS: ObserverTools = {
  argumentTypeError,
  clockNow,
  checkHeaders,
  mergeHeaders,
  oneLineMessage,
  redactHeaders,
  notify,
};
