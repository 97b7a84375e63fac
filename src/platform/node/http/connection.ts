import type { Socket } from "node:net";

/**
 * A pooled connection that applies backpressure at its socket. undici applies backpressure by pausing its parser, but
 * in undici versions up to 7, the process crashes if a connection ends while the parser is paused
 * (github.com/nodejs/undici/issues/5360). This class does not pass bytes from a paused socket to undici, so undici
 * never pauses its parser.
 */
export class Connection {
  /**
   * The connection whose bytes are being parsed. undici reads a socket, parses the bytes and calls the handler in a
   * single event-loop turn, so during these handler calls, `parsing` is the exchange's connection.
   */
  static parsing: Connection | undefined;
  /**
   * The socket's error, if any. Recorded because undici treats a connection reset as the normal end of a response
   * without a length.
   */
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
      // Only Node itself calls `read` with a size, to fill the socket's buffer.
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

  /** Stops reading. The socket buffers up to 64 KiB more before backpressure reaches the server. */
  hold(): void {
    this.held = true;
  }

  /**
   * Resumes reading. Must not be called from a handler's method, because bytes in the socket's buffer are parsed before
   * this method returns.
   */
  release(): void {
    if (!this.held) return;
    this.held = false;
    this.socket.emit("readable");
  }

  /** Marks the end of an exchange. undici itself resumes reading. */
  free(): void {
    this.held = false;
  }

  /** Closes the connection so that it cannot be reused. */
  drop(): void {
    this.socket.destroy();
  }
}
