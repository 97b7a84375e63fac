import { TransportError } from "../contract.js";

/** Error codes with which undici rejects a request before sending it. A retry would be rejected too. */
const REFUSED = new Set(["UND_ERR_INVALID_ARG", "UND_ERR_CLOSED", "UND_ERR_DESTROYED"]);

/** The progress of an exchange. */
export interface Progress {
  /** Whether the request may have been sent. */
  readonly isSent: boolean;
  /** Whether the response headers were received. */
  readonly hasHead: boolean;
}

/** Converts an undici error to a `TransportError`. */
export function failureOf(error: Error, { isSent, hasHead }: Progress): TransportError {
  const { code = "" } = error as { code?: string };
  // If the request was not sent, the protocol violation occurred in an earlier response on the same connection.
  const violation = isSent ? violationIn(error, code, hasHead) : undefined;
  return new TransportError(violation ?? error.message, {
    sent: isSent ? "maybe" : "no",
    cause: error,
    final: violation !== undefined || REFUSED.has(code),
  });
}

/**
 * Returns a description of how the server violated the protocol, or undefined if it did not. After a violation, the
 * request is not retried, because the server would violate the protocol again.
 */
function violationIn({ name, message }: Error, code: string, hasHead: boolean): string | undefined {
  if (code === "UND_ERR_HEADERS_OVERFLOW") {
    return "the response headers are too large: nodeTransport's maxHeaderSize option sets the limit";
  }
  if (name === "HTTPParserError") {
    // This parser error means that the connection ended in the middle of a response.
    return /invalid eof/i.test(message)
      ? undefined
      : `the response is not valid HTTP/1.1: ${message.replace(/^Response does not match the HTTP\/1\.1 protocol /, "")}`;
  }
  // undici's parser uses this code for any error in headers that include a Content-Length.
  if (code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH" && !hasHead) {
    return "the response is not valid HTTP/1.1: its headers contradict each other, or Content-Length is not one number";
  }
  if (code !== "UND_ERR_SOCKET") return undefined;
  if (message === "bad response") return "the server sent 100 Continue, although the request did not ask for it";
  if (message === "bad upgrade") return "the server switched protocols, although the request did not ask for it";
  return undefined;
}
