// The barest client that undici allows, which the SDK is built on.

import { Agent } from "undici";

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

/** undici's handler in its older form, with which it hands over raw headers; the body is copied once. */
class Collector {
  constructor(resolve, reject) {
    this.resolve = resolve;
    this.reject = reject;
    this.status = 0;
    this.body = undefined;
    this.length = 0;
  }
  onConnect() {}
  onHeaders(status, headers) {
    this.status = status;
    for (let i = 0; i < headers.length; i += 2) {
      if (headers[i].length === 14 && headers[i].latin1Slice().toLowerCase() === "content-length") {
        this.body = new Uint8Array(Number(headers[i + 1].latin1Slice()));
      }
    }
    return true;
  }
  onData(chunk) {
    this.body.set(chunk, this.length);
    this.length += chunk.length;
    return true;
  }
  onComplete() {
    if (this.status === 200) this.resolve(this.body);
    else this.reject(new Error(`status ${this.status}`));
  }
  onError(error) {
    this.reject(error);
  }
}
