/** The part of Deno that creates connections for a single request. */
interface DenoHttp {
  createHttpClient(options: { poolMaxIdlePerHost: number }): { close(): void };
}

/**
 * Makes `fetch` use new connections. Most runtimes resend a request when a reused connection fails before the
 * response. They do not resend a request on a new connection. The header `connection: close` does not help, because
 * Deno and Bun send it over a reused connection.
 */
export class NewConnections {
  readonly #isOwnFetch: boolean;
  readonly #isOpaque: boolean | undefined;
  #denoClient: ReturnType<DenoHttp["createHttpClient"]> | undefined;

  /** `fetch` is a custom function, if there is one. `opaque` is true for the `fetch` of a browser. */
  constructor({ fetch, opaque }: { readonly fetch?: unknown; readonly opaque?: boolean | undefined }) {
    this.#isOwnFetch = fetch !== undefined;
    this.#isOpaque = opaque;
  }

  /**
   * Whether requests can still be resent, according to measurements. Browsers and Cloudflare Workers resend
   * requests. Node's `fetch` never does. Deno and Bun do not resend requests on a new connection. Unknown runtimes
   * are assumed to resend them.
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
