import { EasUnsupportedError } from "../errors.js";
import type { Transport } from "../platform/platform.js";
import type { CallPlan } from "./call-plan.js";

/** Refuses upload progress, before anything is sent, where nobody could tell it. */
export function checkUploadProgress({ kind }: CallPlan, { reportsUploads }: Transport): void {
  if (reportsUploads && kind !== "stream") return;
  throw new EasUnsupportedError(
    "onUploadProgress works in web pages and their workers, without stream() and a transport or fetch of your own",
  );
}
