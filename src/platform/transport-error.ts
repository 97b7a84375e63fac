import type { Bytes } from "../formats/request.js";

/** A complete response. */
export interface TransportResponse {
  readonly status: number;
  readonly headers: Headers;
  /** The body. The memory belongs to the receiver. */
  readonly body: Bytes;
  /** The `Content-Encoding` of `body`. Undefined if the runtime has decoded the body, or if the header is missing. */
  readonly contentEncoding: string | undefined;
  /**
   * Whether the body had neither a length nor chunked encoding. If so, it ended with its connection and may be
   * incomplete. Undefined if the runtime does not report it.
   */
  readonly isUndelimited?: boolean | undefined;
  /** Whether the body is known to be incomplete. Default false. */
  readonly isTruncated?: boolean | undefined;
}

/** Matches, in the codes and messages of Node, Bun and Deno, TLS errors that occur when the server does not use TLS. */
const NOT_TLS = /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|InvalidContentType/;
const CLIENT_CERTIFICATE = /ALERT_(BAD_|UNKNOWN_C|CERT|NO_CERT|UNSUPPORTED_CERT)/;
const CERTIFICATE = /^CERT_|_CERT($|_)|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)$|peer certificate/;

/**
 * Returns the meaning of a permanent connection error and its solution. Returns `""` if the error's own message is
 * sufficient, and undefined if the error is not permanent.
 */
function permanentReason(text: string): string | undefined {
  if (NOT_TLS.test(text)) return "this is not a TLS port: use http://";
  if (CLIENT_CERTIFICATE.test(text)) return "the server does not accept the client's certificate: check cert and key";
  if (CERTIFICATE.test(text)) {
    return "the server's certificate is not accepted: trust its authority with ca (nodeTransport) or NODE_EXTRA_CA_CERTS; an expired one, or one for other host names, must be replaced";
  }
  return text.startsWith("ERR_PROXY_REFUSED") ? "" : undefined;
}

/** Returns a message on one line. Messages from OpenSSL have a second line with paths of its source files. */
function onOneLine(message: string): string {
  return (/:SSL routines:[^:]*:([^:]*):/.exec(message)?.[1] ?? message).trim();
}

/**
 * The error with which a transport reports that it received no response, or with which a dialer reports that it
 * opened no WebSocket.
 */
export class TransportError extends Error {
  /** `"no"` if no byte of the request was sent, or `"maybe"` if the request may have been sent. */
  readonly sent: "no" | "maybe";
  /** The error code of the operating system, for example `ECONNRESET`, if the runtime exposes it. */
  readonly systemCode: string | undefined;
  /** Whether the runtime hides the reason of the error, as browsers do. */
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
    // Deno has no error codes, so the message is used.
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
 * Returns the first system code in a chain of causes. Runtimes put the code in different places: Node in
 * `cause.code`, Bun in the error's own `code`, and an `AggregateError` in its members.
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
