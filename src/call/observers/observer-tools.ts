import { checkHeaders, mergeHeaders } from "../../config/headers.js";
import { oneLineMessage } from "../../config/hooks.js";
import { argumentTypeError } from "../../util/argument-errors.js";
import { clockNow } from "../../util/timing/clock.js";
import { redactHeaders } from "../failures/redact.js";
import { notify } from "./tell.js";

/**
 * What `CallObserver` is given and does not import: it is loaded later, and what it shared with the start of a page would be a
 * piece of its own there.
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

export const OBSERVER_TOOLS: ObserverTools = {
  argumentTypeError,
  clockNow,
  checkHeaders,
  mergeHeaders,
  oneLineMessage,
  redactHeaders,
  notify,
};
