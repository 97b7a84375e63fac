/** Reads options of clients from environment variables, when a client is created. */
export interface ClientEnvironment {
  /** Returns the options that the caller left out and the environment sets. Throws a `TypeError` for an invalid value. */
  options(options: AddressOptions, tools: AddressTools): EnvironmentOptions;
  /**
   * Returns the address as `options` does, for a client of more than one queue of a service. If the address has the
   * service in its path, the service is returned as `serviceName` and the gateway as `endpoint`.
   */
  address(options: AddressOptions, tools: AddressTools): Pick<EnvironmentOptions, "endpoint" | "serviceName">;
  /** Returns the logger that `EAS_LOG` requests. Undefined if the variable is not set or has an unknown value. */
  logger(): EnvironmentLogger | undefined;
}

/** Options of a client that determine its address and its token. */
export interface AddressOptions {
  readonly endpoint?: string | undefined;
  readonly serviceName?: string | undefined;
  readonly customUrl?: string | undefined;
  readonly endpointSource?: unknown;
  readonly token?: unknown;
}

/** Functions that check and parse addresses. They are passed in, because platforms do not import such code. */
export interface AddressTools {
  parseEndpoint(text: string): {
    readonly origin: string;
    readonly prefix: string;
    readonly serviceName: string | undefined;
    readonly gateway?: string | undefined;
  };
  endpointOf(options: AddressOptions): unknown;
  checkServiceName(name: string): string;
  checkCustomUrl(url: string): string;
  checkTokenText(token: unknown): string;
}

/** Options that the environment sets. */
export interface EnvironmentOptions {
  readonly endpoint?: string;
  readonly customUrl?: string;
  readonly serviceName?: string;
  readonly token?: string;
  /** Returns the settings to change when a setter changes another setting. Removes the token from foreign hosts. */
  onSet?(name: string, value: unknown): object | undefined;
}

/** Logs the calls of a client. Each method receives one line. */
export interface EnvironmentLogger {
  /** Called before each attempt. */
  attempt(message: string): void;
  debug(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
