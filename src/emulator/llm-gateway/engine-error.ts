/** Thrown when an engine does not send a complete response. `message` is that of the gateway's HTTP client. */
export class EngineError extends Error {
  /** Whether one of the gateway's timeouts has expired. Such a request is not retried. */
  readonly isTimeout: boolean;

  constructor(message: string, isTimeout = false) {
    super(message);
    this.isTimeout = isTimeout;
  }
}
