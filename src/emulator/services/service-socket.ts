import type { Bytes } from "../../formats/request.js";
import { argumentRangeError, show } from "../../util/argument-errors.js";
import { messageOf } from "../../util/realms.js";
import { breaksBody, DEFAULT_CHUNKS, type Fault } from "../faults.js";
import type { AcceptedSocket, AttachedSocket, EmulatorServiceSocket, EmulatorSocket } from "../server/socket.js";
import type { EmulatorCall, EmulatorService } from "./service.js";

const MAX_REASON_BYTES = 123;
/** The close code of a server that failed. */
const FAILED = 1011;

/** Hands a WebSocket to a service; a fault breaks it in its middle. */
export function attachService(
  service: EmulatorService,
  call: EmulatorCall,
  protocol: string | undefined,
  fault: Fault | undefined,
): AcceptedSocket["attach"] {
  return (socket) => {
    const gone = new AbortController();
    const own = new ServiceSocket(fault === undefined ? socket : breakSocket(socket, fault), protocol ?? "", gone);
    own.run(() => service.socket?.({ ...call, signal: gone.signal }, own.view));
    return own;
  };
}

class ServiceSocket implements AttachedSocket {
  /** What the service sees. */
  readonly view: EmulatorServiceSocket;
  readonly #socket: EmulatorSocket;
  readonly #gone: AbortController;
  #waiting: (string | Bytes)[] = [];
  #onMessage: EmulatorServiceSocket["onMessage"] = undefined;
  #isEnding = false;

  constructor(socket: EmulatorSocket, protocol: string, gone: AbortController) {
    this.#socket = socket;
    this.#gone = gone;
    const own = this;
    this.view = {
      protocol,
      get onMessage() {
        return own.#onMessage;
      },
      set onMessage(callback) {
        own.#onMessage = callback;
        for (const message of own.#waiting.splice(0)) own.received(message);
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

  /** Runs a callback of the service, which may fail. */
  run(callback: () => void | Promise<void>): void {
    const fail = (error: unknown) => this.#end(FAILED, cutReason(messageOf(error)));
    try {
      callback()?.catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  received(message: Bytes | string): void {
    const callback = this.#onMessage;
    if (callback === undefined) this.#waiting.push(message);
    else this.run(() => callback(message));
  }

  drained(): void {}

  closed(code: number, reason: string): void {
    if (this.#gone.signal.aborted) return;
    this.#isEnding = true;
    this.#waiting = [];
    this.#gone.abort();
    this.run(() => this.view.onClose?.({ code, reason }));
  }

  #end(code: number, reason: string): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#socket.close(code, reason);
  }
}

/** A socket that goes wrong after some messages, as a body does after some chunks. */
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
        socket.close(FAILED, "");
      } else if (fault.failure === undefined && fault.stall !== "in-body") socket.terminate();
    },
  };
}

function checkClose(code: number, reason: string): void {
  const isStandard = code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
  if (!Number.isInteger(code) || !(isStandard || (code >= 3000 && code <= 4999))) {
    const right = "it must be 1000 to 1014 without 1004 to 1006, or 3000 to 4999";
    throw argumentRangeError("ERR_EAS_ARG_OPTION", `code is ${show(code)}: ${right}`);
  }
  if (cutReason(reason) !== reason) {
    throw argumentRangeError("ERR_EAS_ARG_OPTION", `reason has more than ${MAX_REASON_BYTES} bytes: ${show(reason)}`);
  }
}

/** As much of a text as fits into a close frame. */
function cutReason(text: string): string {
  return text.slice(0, new TextEncoder().encodeInto(text, new Uint8Array(MAX_REASON_BYTES)).read);
}
