import { EasUnsupportedError } from "../../errors.js";
import type { Transport } from "../../platform/contract.js";
import type { CallPlan } from "../call-plan.js";

/** Refuses upload progress, before anything is sent, where nobody could tell it. */
export function checkUploadProgress({ kind }: CallPlan, { reportsUploads }: Transport): void {
  if (reportsUploads && kind !== "stream") return;
  throw new EasUnsupportedError(
    "onUploadProgress works only in web pages and their workers, with predict(), and without the options transport and fetch",
  );
}
