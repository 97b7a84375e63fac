/** Why an engine has not answered, or not to the end. `message` is that of the gateway's HTTP client. */
export class EngineError extends Error {
  /** Whether a limit of the gateway has passed. Such a request is not sent again. */
  readonly isTimeout: boolean;

  constructor(message: string, isTimeout = false) {
    super(message);
    this.isTimeout = isTimeout;
  }
}
