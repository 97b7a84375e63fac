import { messageOf } from "../../util/realms.js";
import { TransportError } from "../transport-error.js";

const BANNER = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';

/**
 * Returns the error for a package that could not be loaded. The error states that nothing was sent and that a retry
 * would fail in the same way.
 */
export function loadFailure(name: string, error: unknown): unknown {
  // Return the error unchanged if it is about an invalid option or has a sufficient message.
  const { name: kind, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  if (kind === "TransportError" || String(code).startsWith("ERR_EAS_")) return error;
  const why = messageOf(error);
  // In ES module bundles, bundlers replace require() with a function that throws this message.
  const remedy = /require/.test(why)
    ? `. In an ES module bundle, keep ${name} external, or let the bundler add this banner: ${BANNER}`
    : "";
  return new TransportError(`${name} could not be loaded: ${why}${remedy}`, { sent: "no", final: true, cause: error });
}
