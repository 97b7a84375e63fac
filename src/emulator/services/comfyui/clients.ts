import type { EmulatorServiceSocket } from "../../server/socket.js";

/** The open WebSockets by client id. */
export class ComfyClients {
  readonly #sockets = new Map<string, EmulatorServiceSocket>();

  /** Registers a socket. An earlier socket of the same client stays open, but receives no more messages. */
  add(clientId: string, socket: EmulatorServiceSocket): void {
    this.#sockets.set(clientId, socket);
    socket.onClose = () => {
      if (this.#sockets.get(clientId) === socket) this.#sockets.delete(clientId);
    };
  }

  /** Sends a message to one client. */
  send(clientId: string | undefined, type: string, data: object): void {
    if (clientId !== undefined) this.#sockets.get(clientId)?.send(JSON.stringify({ type, data }));
  }

  /** Sends a message to all clients. */
  broadcast(type: string, data: object): void {
    for (const clientId of this.#sockets.keys()) this.send(clientId, type, data);
  }
}
