/** The Deno API that creates connections for a single request. */
interface DenoHttp {
  createHttpClient(options: { poolMaxIdlePerHost: number }): { close(): void };
}

/**
 * Makes `fetch` use new connections. Most runtimes resend a request when a reused connection fails before the response
 * arrives, but not when a new connection fails. The header `connection: close` does not help, because Deno and Bun send
 * it over a reused connection.
 */
export class NewConnections {
  readonly #isOwnFetch: boolean;
  readonly #isOpaque: boolean | undefined;
  #denoClient: ReturnType<DenoHttp["createHttpClient"]> | undefined;

  /** `fetch` is the custom function, if any. `opaque` is true for a browser's `fetch`. */
  constructor({ fetch, opaque }: { readonly fetch?: unknown; readonly opaque?: boolean | undefined }) {
    this.#isOwnFetch = fetch !== undefined;
    this.#isOpaque = opaque;
  }

  /**
   * Whether the runtime may still resend requests. According to tests, browsers and Cloudflare Workers resend requests,
   * Node's `fetch` never does, and Deno and Bun do not on a new connection. Unknown runtimes are assumed to resend
   * them.
   */
  get mayResend(): boolean {
    if (this.#isOpaque) return true;
    if ("Bun" in globalThis) return false;
    if ("Deno" in globalThis) return this.#isOwnFetch;
    const { process } = globalThis as { process?: { versions?: { node?: string } } };
    // Cloudflare Workers also define `process`, for compatibility.
    return process?.versions?.node === undefined || "WebSocketPair" in globalThis;
  }

  /** Returns the options that make `fetch` use a new connection. */
  next(): { keepalive?: false; client?: unknown } {
    if ("Bun" in globalThis) return { keepalive: false };
    const { Deno } = globalThis as { Deno?: DenoHttp };
    // A custom `fetch` may use its own client, for example with a proxy.
    if (Deno === undefined || this.#isOwnFetch) return {};
    this.#denoClient ??= Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    return { client: this.#denoClient };
  }

  close(): void {
    this.#denoClient?.close();
    this.#denoClient = undefined;
  }
}
