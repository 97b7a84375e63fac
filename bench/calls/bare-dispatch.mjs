// The barest client that undici allows, which the SDK is built on.

import { Agent } from "undici";
import { Collector } from "./collector.mjs";

/** Makes `call(service, input)`, which gives the answer's body; `bodyOf` makes the bytes to send of the input. */
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
