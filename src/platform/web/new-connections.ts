/** The part of Deno that opens connections which are used once. */
interface DenoHttp {
  createHttpClient(options: { poolMaxIdlePerHost: number }): { close(): void };
}

/**
 * Asks a `fetch` for new connections. Most runtimes resend a request by themselves when the connection dies before the
 * response, but only when it is a reused connection. The header `connection: close` does not help: Deno and Bun send it over
 * a reused connection.
 */
export class NewConnections {
  readonly #isOwnFetch: boolean;
  readonly #isOpaque: boolean | undefined;
  #denoClient: ReturnType<DenoHttp["createHttpClient"]> | undefined;

  /** `fetch`: one of the caller's own. `opaque`: whether it is that of a browser. */
  constructor({ fetch, opaque }: { readonly fetch?: unknown; readonly opaque?: boolean | undefined }) {
    this.#isOwnFetch = fetch !== undefined;
    this.#isOpaque = opaque;
  }

  /**
   * Whether requests may be resent all the same. By measurement: by browsers and by Cloudflare Workers; not by Node's
   * `fetch`, which never resends, nor by Deno's and Bun's over a new connection. Unknown runtimes count as resending.
   */
  get mayResend(): boolean {
    if (this.#isOpaque) return true;
    if ("Bun" in globalThis) return false;
    if ("Deno" in globalThis) return this.#isOwnFetch;
    const { process } = globalThis as { process?: { versions?: { node?: string } } };
    // Workers have a process too, for compatibility.
    return process?.versions?.node === undefined || "WebSocketPair" in globalThis;
  }

  /** What a call of `fetch` is given for a new connection. */
  next(): { keepalive?: false; client?: unknown } {
    if ("Bun" in globalThis) return { keepalive: false };
    const { Deno } = globalThis as { Deno?: DenoHttp };
    // The caller's own `fetch` may have a client of its own, with a proxy.
    if (Deno === undefined || this.#isOwnFetch) return {};
    this.#denoClient ??= Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    return { client: this.#denoClient };
  }

  close(): void {
    this.#denoClient?.close();
    this.#denoClient = undefined;
  }
}
