import type { Bytes } from "../../formats/request.js";

/** The little that the emulator needs of a WebSocket. */
export interface EmulatorSocket {
  /** Sends one message, in one frame: bytes as a binary one, text as a text one. */
  send(message: Bytes | string): void;
  /** Bytes that were sent and that nobody has taken yet. */
  readonly bufferedBytes: number;
  /** Begins the closing handshake. */
  close(code: number, reason: string): void;
  /** Ends the connection without one. */
  terminate(): void;
  /** Stops reading what the caller sends, its close frame included. Without effect where the runtime cannot. */
  pause?(): void;
}

/** What a server tells the emulator of a socket. */
export interface AttachedSocket {
  /** The caller has sent a message, which is the receiver's own memory. */
  received(message: Bytes | string): void;
  /** Some of `bufferedBytes` were taken. */
  drained(): void;
  /** The caller has sent a ping. Returns whether the server answers with a pong. Default: it does. */
  pinged?(): boolean;
  /** The connection has ended, by whomever. */
  closed(code: number, reason: string): void;
}

/** A WebSocket whose upgrade is granted: the server makes a socket and attaches it. */
export interface AcceptedSocket {
  /** The subprotocol that is chosen of those that the caller has offered; undefined: none. */
  readonly protocol: string | undefined;
  /** Begins what the socket is for: a queue's watch, or a service. Pings are answered by the server. */
  attach(socket: EmulatorSocket): AttachedSocket;
}

/** A service's end of a WebSocket. */
export interface EmulatorServiceSocket {
  /** The subprotocol that was chosen; `""` when there is none. */
  readonly protocol: string;
  /**
   * Takes each message, text or bytes, which are its own; messages wait until it is set. What it throws, or rejects with,
   * closes the connection with 1011.
   */
  onMessage: ((message: string | Bytes) => void | Promise<void>) | undefined;
  /** Called once when the connection has ended, by whomever; the call's signal fires then too. */
  onClose: ((close: { readonly code: number; readonly reason: string }) => void) | undefined;
  /** Sends text as a text message, bytes as a binary one, which are copied; without effect when the connection is ending. */
  send(message: string | Uint8Array): void;
  /**
   * Ends the connection after what was sent. `code` (default 1000) is 1000 to 1014 without 1004 to 1006, or 3000 to 4999;
   * `reason` (default empty) has at most 123 bytes of UTF-8; else a `RangeError`.
   */
  close(code?: number, reason?: string): void;
}

/** Chooses the first subprotocol that the caller offers of those that are spoken, or of all. */
export function chooseProtocol(headers: Headers, spoken: readonly string[] | undefined): string | undefined {
  const offered = (headers.get("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim());
  return offered.find((name) => name !== "" && (spoken?.includes(name) ?? true));
}
