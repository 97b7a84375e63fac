// A handler for `Agent.dispatch` that collects the body of a response.

/** A handler in undici's legacy form, which receives raw headers. It copies the body once. */
export class Collector {
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
