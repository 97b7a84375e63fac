import type { Bytes } from "../../formats/request.js";

/** The operations of a WebSocket that the emulator needs from a server. */
export interface EmulatorSocket {
  /** Sends one message in one frame: bytes as a binary message, strings as a text message. */
  send(message: Bytes | string): void;
  /** Number of bytes passed to `send` but not yet handed to the network. */
  readonly bufferedBytes: number;
  /** Starts the closing handshake. */
  close(code: number, reason: string): void;
  /** Ends the connection without a closing handshake. */
  terminate(): void;
  /** Stops reading messages and close frames from the caller. Optional: some runtimes do not support it. */
  pause?(): void;
}

/** Callbacks through which a server reports the events of a socket to the emulator. */
export interface SocketHandlers {
  /** Called for each message from the caller. The receiver owns the bytes. */
  onMessage(message: Bytes | string): void;
  /** Called after some of `bufferedBytes` were sent. */
  onDrain(): void;
  /** Called for each ping. Returns whether the server responds with a pong. Default: it responds. */
  onPing?(): boolean;
  /** Called when the connection has ended, regardless of which side ended it. */
  onClose(code: number, reason: string): void;
}

/** A WebSocket upgrade that the emulator accepts. The server opens the socket and attaches it. */
export interface AcceptedSocket {
  /** The subprotocol chosen from those that the caller offered; undefined when none was chosen. */
  readonly protocol: string | undefined;
  /** Connects the opened socket to its queue watch or service. */
  attach(socket: EmulatorSocket): SocketHandlers;
}

/** The service's side of a WebSocket. */
export interface EmulatorServiceSocket {
  /** The chosen subprotocol; `""` when there is none. */
  readonly protocol: string;
  /**
   * Called for each message. The callback owns the bytes. Messages are buffered until the callback is set. If the
   * callback throws or rejects, the connection is closed with 1011.
   */
  onMessage: ((message: string | Bytes) => void | Promise<void>) | undefined;
  /** Called once when the connection has ended, regardless of which side ended it. The call's signal also fires. */
  onClose: ((close: { readonly code: number; readonly reason: string }) => void) | undefined;
  /** Sends a text or binary message. Bytes are copied. Does nothing once the connection is closing. */
  send(message: string | Uint8Array): void;
  /**
   * Closes the connection after the messages sent so far. Throws a `RangeError` for an invalid code or reason.
   *
   * @param code - 1000 to 1014 without 1004 to 1006, or 3000 to 4999. Default 1000.
   * @param reason - At most 123 bytes of UTF-8. Default empty.
   */
  close(code?: number, reason?: string): void;
}

/** Chooses the first offered subprotocol that is in `supported`, or the first offered if `supported` is undefined. */
export function chooseProtocol(headers: Headers, supported: readonly string[] | undefined): string | undefined {
  const offered = (headers.get("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim());
  return offered.find((name) => name !== "" && (supported?.includes(name) ?? true));
}
