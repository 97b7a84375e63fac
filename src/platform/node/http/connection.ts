import type { Socket } from "node:net";

/**
 * A connection of the pool that applies backpressure at its socket. undici applies backpressure by pausing its
 * parser. In undici versions up to 7, the process crashes if a connection ends while the parser is paused
 * (github.com/nodejs/undici/issues/5360). This class passes no bytes from a paused socket to undici, so undici never
 * pauses its parser.
 */
export class Connection {
  /**
   * The connection whose bytes are being parsed. undici reads a socket, parses the bytes and calls the handler in
   * one event-loop turn. During these handler calls, `parsing` is therefore the connection of the exchange.
   */
  static parsing: Connection | undefined;
  /** The error of the socket, if there is one. undici treats a reset as the end of a response without a length. */
  error: Error | undefined = undefined;
  private readonly socket: Socket;
  private held = false;

  private constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Attaches a connection to a socket. Must be called before undici adds its listeners. */
  static attach(socket: Socket): void {
    const connection = new Connection(socket);
    const { read } = socket;
    socket.read = (size) => {
      // Only Node itself calls `read` with a size, to fill the buffer of the socket.
      if (size === undefined) {
        Connection.parsing = connection;
        if (connection.held) return null;
      }
      return read.call(socket, size);
    };
    socket.on("error", (error) => {
      connection.error ??= error;
    });
  }

  /** Stops reading. The socket buffers at most 64 KiB more. After that, backpressure reaches the server. */
  hold(): void {
    this.held = true;
  }

  /**
   * Resumes reading. Bytes in the socket's buffer are parsed before this method returns. Therefore, it must not be
   * called from a method of a handler.
   */
  release(): void {
    if (!this.held) return;
    this.held = false;
    this.socket.emit("readable");
  }

  /** Marks the end of an exchange. Reading is resumed by undici itself. */
  free(): void {
    this.held = false;
  }

  /** Closes the connection, so that it is not used again. */
  drop(): void {
    this.socket.destroy();
  }
}
