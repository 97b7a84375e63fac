import type { CallEvent, CallHooks, CallLogger } from "../../config/hooks.js";
import type { ObserverTools } from "./observer-tools.js";

/** Hooks that say in words what they hear, each in one line. */
export function loggingHooks(logger: CallLogger, { oneLineMessage }: ObserverTools): CallHooks {
  const named = ({ method, url, attempt }: CallEvent) => `${method} ${url} (attempt ${attempt})`;
  return {
    response(event) {
      const { status, responseBytes, timings } = event;
      logger.debug(`${named(event)}: ${status}, ${responseBytes} bytes after ${Math.round(timings.total)} ms`);
    },
    retry: (event) =>
      logger.warn(`${named(event)} failed, retrying in ${Math.round(event.delay)} ms: ${oneLineMessage(event.error)}`),
    error: (event) => logger.error(`${named(event)} failed: ${oneLineMessage(event.error)}`),
  };
}
