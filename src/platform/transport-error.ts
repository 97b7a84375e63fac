import type { Bytes } from "../formats/request.js";

/** A complete response. */
export interface TransportResponse {
  readonly status: number;
  readonly headers: Headers;
  /** The body. The memory belongs to the receiver. */
  readonly body: Bytes;
  /**
   * The `Content-Encoding` of `body`. Undefined if the runtime has already decoded the body or the header is missing.
   */
  readonly contentEncoding: string | undefined;
  /**
   * Whether the body had neither a length nor chunked encoding. If so, the body ended with its connection and may be
   * incomplete. Undefined if the runtime does not report this.
   */
  readonly isUndelimited?: boolean | undefined;
  /** Whether the body is known to be incomplete. Default false. */
  readonly isTruncated?: boolean | undefined;
}

/** Matches error codes and messages from Node, Bun and Deno for a TLS connection to a server that does not use TLS. */
const NOT_TLS = /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|InvalidContentType/;
const CLIENT_CERTIFICATE = /ALERT_(BAD_|UNKNOWN_C|CERT|NO_CERT|UNSUPPORTED_CERT)/;
const CERTIFICATE = /^CERT_|_CERT($|_)|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)$|peer certificate/;

/**
 * Returns an explanation of a permanent connection error and its solution. Returns `""` if the error's own message is
 * sufficient, and undefined if the error is not permanent.
 */
function permanentReason(text: string): string | undefined {
  if (NOT_TLS.test(text)) return "this is not a TLS port: use http://";
  if (CLIENT_CERTIFICATE.test(text)) return "the server does not accept the client's certificate: check cert and key";
  if (CERTIFICATE.test(text)) {
    return "the server's certificate is not accepted: trust its authority with ca (nodeTransport) or NODE_EXTRA_CA_CERTS; a certificate that has expired or is for other host names must be replaced";
  }
  return text.startsWith("ERR_PROXY_REFUSED") ? "" : undefined;
}

/** Returns a message on one line, because messages from OpenSSL have a second line with source file paths. */
function onOneLine(message: string): string {
  return (/:SSL routines:[^:]*:([^:]*):/.exec(message)?.[1] ?? message).trim();
}

/** Reports that a transport received no response or that a dialer could not open a WebSocket. */
export class TransportError extends Error {
  /** `"no"` if no byte of the request was sent, or `"maybe"` if the request may have been sent. */
  readonly sent: "no" | "maybe";
  /** The operating system's error code, for example `ECONNRESET`, if the runtime exposes it. */
  readonly systemCode: string | undefined;
  /** Whether the runtime hides the cause of the error, as browsers do. */
  readonly opaque: boolean;
  /** Whether a retry cannot succeed, for example because a body exceeds the limit. */
  readonly final: boolean;
  /** The HTTP status of a response to a WebSocket upgrade, if the runtime exposes it. */
  readonly status: number | undefined;
  /** The response to a WebSocket upgrade, if the runtime exposes it. Its body may be truncated. */
  readonly response: TransportResponse | undefined;

  constructor(
    message: string,
    options: {
      sent: "no" | "maybe";
      cause?: unknown;
      systemCode?: string | undefined;
      opaque?: boolean;
      final?: boolean;
      status?: number | undefined;
      response?: TransportResponse | undefined;
    },
  ) {
    const systemCode = options.systemCode ?? systemCodeOf(options.cause);
    // Deno does not provide error codes, so use the message.
    const permanent = permanentReason(systemCode ?? message);
    super(permanent ? `${permanent} (${onOneLine(message)})` : onOneLine(message), options);
    this.name = "TransportError";
    this.sent = options.sent;
    this.systemCode = systemCode;
    this.opaque = options.opaque ?? false;
    this.final = permanent !== undefined || (options.final ?? false);
    this.status = options.status ?? options.response?.status;
    this.response = options.response;
  }
}

/**
 * Returns the first system code in a chain of causes. Runtimes put the code in different places: Node in `cause.code`,
 * Bun in the error's own `code`. An `AggregateError` has it in its members.
 */
export function systemCodeOf(error: unknown): string | undefined {
  let current = error;
  for (let depth = 0; depth < 8 && typeof current === "object" && current !== null; depth++) {
    const { code, errors, cause } = current as { code?: unknown; errors?: unknown; cause?: unknown };
    if (typeof code === "string") return code;
    current = Array.isArray(errors) && errors.length > 0 ? errors[0] : cause;
  }
  return undefined;
}
