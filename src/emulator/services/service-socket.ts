import type { Bytes } from "../../formats/request.js";
import { argumentRangeError, show } from "../../util/argument-errors.js";
import { messageOf } from "../../util/realms.js";
import { breaksBody, DEFAULT_CHUNKS, type Fault } from "../faults.js";
import type { AcceptedSocket, EmulatorServiceSocket, EmulatorSocket, SocketHandlers } from "../server/socket.js";
import type { EmulatorCall, EmulatorService } from "./service.js";

const MAX_REASON_BYTES = 123;
/** Close code for an internal error. */
const INTERNAL_ERROR = 1011;

/** Returns a function that connects a WebSocket to a service. A fault breaks the WebSocket after some messages. */
export function attachService(
  service: EmulatorService,
  call: EmulatorCall,
  protocol: string | undefined,
  fault: Fault | undefined,
): AcceptedSocket["attach"] {
  return (socket) => {
    const disconnected = new AbortController();
    const own = new ServiceSocket(
      fault === undefined ? socket : breakSocket(socket, fault),
      protocol ?? "",
      disconnected,
    );
    own.run(() => service.socket?.({ ...call, signal: disconnected.signal }, own.view));
    return own;
  };
}

class ServiceSocket implements SocketHandlers {
  /** The socket that the service receives. */
  readonly view: EmulatorServiceSocket;
  readonly #socket: EmulatorSocket;
  readonly #disconnected: AbortController;
  #waiting: (string | Bytes)[] = [];
  #onMessage: EmulatorServiceSocket["onMessage"] = undefined;
  #isEnding = false;

  constructor(socket: EmulatorSocket, protocol: string, disconnected: AbortController) {
    this.#socket = socket;
    this.#disconnected = disconnected;
    const own = this;
    this.view = {
      protocol,
      get onMessage() {
        return own.#onMessage;
      },
      set onMessage(callback) {
        own.#onMessage = callback;
        for (const message of own.#waiting.splice(0)) own.onMessage(message);
      },
      onClose: undefined,
      send(message) {
        if (!own.#isEnding) socket.send(typeof message === "string" ? message : message.slice());
      },
      close(code = 1000, reason = "") {
        checkClose(code, reason);
        own.#end(code, reason);
      },
    };
  }

  /** Runs one of the service's callbacks. If it fails, the connection is closed with code 1011. */
  run(callback: () => void | Promise<void>): void {
    const fail = (error: unknown) => this.#end(INTERNAL_ERROR, truncateReason(messageOf(error)));
    try {
      callback()?.catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  onMessage(message: Bytes | string): void {
    const callback = this.#onMessage;
    if (callback === undefined) this.#waiting.push(message);
    else this.run(() => callback(message));
  }

  onDrain(): void {}

  onClose(code: number, reason: string): void {
    if (this.#disconnected.signal.aborted) return;
    this.#isEnding = true;
    this.#waiting = [];
    this.#disconnected.abort();
    this.run(() => this.view.onClose?.({ code, reason }));
  }

  #end(code: number, reason: string): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#socket.close(code, reason);
  }
}

/** Returns a socket that applies a fault after `fault.chunks` messages. */
export function breakSocket(socket: EmulatorSocket, fault: Fault): EmulatorSocket {
  if (!breaksBody(fault)) return socket;
  let left = fault.chunks ?? DEFAULT_CHUNKS;
  return {
    get bufferedBytes() {
      return socket.bufferedBytes;
    },
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
    pause: () => socket.pause?.(),
    send(message) {
      left--;
      if (left >= 0) socket.send(message);
      else if (fault.failure !== undefined && left === -1) {
        socket.send(fault.failure);
        socket.close(INTERNAL_ERROR, "");
      } else if (fault.failure === undefined && fault.stall !== "in-body") socket.terminate();
    },
  };
}

function checkClose(code: number, reason: string): void {
  const isStandard = code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
  if (!Number.isInteger(code) || !(isStandard || (code >= 3000 && code <= 4999))) {
    const allowed = "it must be 1000 to 1014 without 1004 to 1006, or 3000 to 4999";
    throw argumentRangeError("ERR_EAS_ARG_OPTION", `code is ${show(code)}: ${allowed}`);
  }
  if (truncateReason(reason) !== reason) {
    throw argumentRangeError(
      "ERR_EAS_ARG_OPTION",
      `reason is ${show(reason)}: it must have at most ${MAX_REASON_BYTES} bytes`,
    );
  }
}

/** Truncates a text to the maximum length of a close reason. */
function truncateReason(text: string): string {
  return text.slice(0, new TextEncoder().encodeInto(text, new Uint8Array(MAX_REASON_BYTES)).read);
}
