import type { Socket } from "node:net";

/**
 * A connection of the pool, with backpressure at its socket. undici applies backpressure by pausing its parser, and up to its 7th
 * version the process dies when a connection ends while the parser is paused (github.com/nodejs/undici/issues/5360). Here undici
 * gets no bytes from a socket that is held, so its parser is never paused.
 */
export class Connection {
  /**
   * The connection whose bytes are being parsed. undici reads a socket, parses what it read and calls the handler of the exchange
   * in one turn, so inside these calls this is the connection of the exchange.
   */
  static parsing: Connection | undefined;
  /** The socket's error. undici takes a reset for the end of a response that has no length. */
  error: Error | undefined = undefined;
  private readonly socket: Socket;
  private held = false;

  private constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Attaches to a socket; to be called before undici adds its listeners. */
  static attach(socket: Socket): void {
    const connection = new Connection(socket);
    const { read } = socket;
    socket.read = (size) => {
      // Only Node itself gives a size, to fill the buffer of the socket.
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

  /** Stops reading. The socket buffers at most 64 KiB more; then the server is held back. */
  hold(): void {
    this.held = true;
  }

  /** Reads on. Bytes that wait in the socket are parsed before this returns: never call it from a handler's method. */
  release(): void {
    if (!this.held) return;
    this.held = false;
    this.socket.emit("readable");
  }

  /** Marks the end of an exchange: undici itself reads on. */
  free(): void {
    this.held = false;
  }

  /** Closes the connection, so that it is not used again. */
  drop(): void {
    this.socket.destroy();
  }
}
