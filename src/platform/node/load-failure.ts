import { messageOf } from "../../util/realms.js";
import { TransportError } from "../transport-error.js";

const BANNER = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';

/** The error for a package that could not be loaded. Nothing was sent, and a retry would fail in the same way. */
export function loadFailure(name: string, error: unknown): unknown {
  // An option that cannot be right, or what explains itself already.
  const { name: kind, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  if (kind === "TransportError" || String(code).startsWith("ERR_EAS_")) return error;
  const why = messageOf(error);
  // Bundlers that write ES modules replace require() by a function that throws this.
  const remedy = /require/.test(why)
    ? `. In a bundle of ES modules, keep ${name} external, or let the bundler add this banner: ${BANNER}`
    : "";
  return new TransportError(`${name} could not be loaded: ${why}${remedy}`, { sent: "no", final: true, cause: error });
}
