// The simplest client that undici allows. The SDK is built on the same method.

import { Agent } from "undici";
import { Collector } from "./collector.mjs";

/**
 * Returns `call(service, input)`, which resolves with the body of the response. `bodyOf` converts the input into
 * bytes.
 */
export function dispatching({ origin, connections, authorize }, bodyOf = (body) => body) {
  const agent = new Agent({ connections, headersTimeout: 0, bodyTimeout: 0 });
  return (service, input) =>
    new Promise((resolve, reject) => {
      const body = bodyOf(input);
      agent.dispatch(
        { origin, path: `/api/predict/${service}`, method: "POST", headers: authorize(service, body), body },
        new Collector(resolve, reject),
      );
    });
}
