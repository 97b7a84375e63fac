import type { Bytes } from "../../formats/request.js";
import { ABNORMAL } from "../../platform/websocket-connection.js";
import { isResponse } from "../../util/realms.js";
import { startTimer, type TimerHandle } from "../../util/timing/clock.js";
import { breakBeforeHead, type Fault } from "../faults.js";
import { acceptByService, answerWith } from "../gateway/responses.js";
import type { AcceptedSocket, AttachedSocket, EmulatorSocket } from "../server/socket.js";
import type { EmulatorCall, SocketAnswer } from "../services/service.js";
import type { Gateway, GatewaySettings, NoEngine } from "./gateway.js";
import { textAnswer } from "./responses.js";

/** Accepts a WebSocket for an engine, and passes messages between it and the client as the first generation does. */
export async function acceptThrough(
  gateway: Gateway,
  call: EmulatorCall,
  refuse: (reason: NoEngine) => Response,
): Promise<SocketAnswer> {
  const engine = await gateway.take(call.signal, true);
  if (typeof engine === "string") return refuse(engine);
  const connection = engine.connect();
  const release = () => {
    if (connection !== undefined) engine.release(connection);
    gateway.release(engine);
  };
  try {
    // The gateway's WebSocket client does not pass on an offer of extensions: it fails.
    if (connection === undefined || call.headers.has("sec-websocket-extensions")) throw new DialError();
    const fault = engine.takeFault(call.service);
    const attach = await dial(gateway, call, fault);
    const refusal = isResponse(attach) ? attach : refuseOrigin(call);
    if (refusal !== undefined) {
      release();
      return refusal;
    }
    const attachEngine = attach as AcceptedSocket["attach"];
    return (client) => {
      const bridge = new SocketBridge(client, gateway.settings, fault?.end === "in-body", release);
      bridge.connect(attachEngine, connection.signal);
      return bridge;
    };
  } catch (error) {
    release();
    if (error instanceof DialError) return textAnswer(503, "Service Unavailable");
    throw error;
  }
}

/** The engine's connection could not be made, or broke before an answer. */
class DialError extends Error {}

async function dial(gateway: Gateway, call: EmulatorCall, fault: Fault | undefined): Promise<SocketAnswer> {
  gateway.log(call);
  try {
    await breakBeforeHead(fault, call.signal);
  } catch {
    throw new DialError();
  }
  if (fault?.status !== undefined) return answerWith(fault.status, fault.body ?? "", fault.headers);
  return acceptByService(gateway.settings.engine, call, fault);
}

/** Pages of other origins than the gateway's own are refused, after the engine has accepted. */
function refuseOrigin({ headers }: EmulatorCall): Response | undefined {
  const origin = headers.get("origin");
  if (origin === null) return undefined;
  const host = URL.canParse(origin) ? new URL(origin).host : undefined;
  if (host !== undefined && host === headers.get("host")) return undefined;
  return textAnswer(403, "Forbidden", { "sec-websocket-version": "13" });
}

/** Messages in one direction. */
interface Direction {
  /** Whether the gateway reads no more of it. */
  isOver: boolean;
  /** When the last data message was written. */
  writtenAt: number | undefined;
  timer: TimerHandle | undefined;
}

/** Both ends of a conversation through the gateway, which ends when both directions have. */
class SocketBridge implements AttachedSocket {
  readonly #client: EmulatorSocket;
  readonly #settings: GatewaySettings;
  readonly #endsInOrder: boolean;
  readonly #release: () => void;
  readonly #toEngine: Direction = { isOver: false, writtenAt: undefined, timer: undefined };
  readonly #toClient: Direction = { isOver: false, writtenAt: undefined, timer: undefined };
  #engine: AttachedSocket | undefined;
  #isEngineBroken = false;
  #isOver = false;

  constructor(client: EmulatorSocket, settings: GatewaySettings, endsInOrder: boolean, release: () => void) {
    this.#client = client;
    this.#settings = settings;
    this.#endsInOrder = endsInOrder;
    this.#release = release;
  }

  connect(attach: AcceptedSocket["attach"], broken: AbortSignal): void {
    const client = this.#client;
    this.#startTimer(this.#toEngine);
    this.#startTimer(this.#toClient);
    broken.addEventListener("abort", () => this.#breakEngine(false));
    this.#engine = attach({
      send: (message) => this.#sent(message),
      get bufferedBytes() {
        return client.bufferedBytes;
      },
      close: (code, reason) => {
        // Otherwise the engine's close frame is not read.
        if (!this.#toClient.isOver) client.close(code, reason);
      },
      terminate: () => this.#breakEngine(this.#endsInOrder),
    });
    if (this.#isOver) this.#engine.closed(ABNORMAL, "");
  }

  received(message: Bytes | string): void {
    if (this.#toEngine.isOver) return;
    if (this.#isEngineBroken) {
      this.#end(this.#toEngine);
      return;
    }
    this.#toEngine.writtenAt = this.#settings.now();
    this.#startTimer(this.#toEngine);
    this.#engine?.received(message);
  }

  /**
   * The gateway passes on pings and pongs under the deadline of the last message that it wrote to the same side. After that, the
   * write fails, and with it all later ones; the gateway stops reading the side that the ping or pong came from.
   */
  pinged(): boolean {
    for (const direction of [this.#toEngine, this.#toClient]) {
      if (direction.isOver) return false;
      if (this.#isStale(direction)) {
        this.#end(direction);
        return false;
      }
    }
    if (!this.#isEngineBroken) return true;
    this.#end(this.#toEngine);
    return false;
  }

  drained(): void {
    this.#engine?.drained();
  }

  closed(code: number, reason: string): void {
    this.#finish();
    this.#engine?.closed(code, reason);
  }

  #sent(message: Bytes | string): void {
    if (this.#toClient.isOver || this.#isEngineBroken) return;
    this.#toClient.writtenAt = this.#settings.now();
    this.#startTimer(this.#toClient);
    this.#client.send(message);
  }

  /** The engine's connection has ended without a close frame: the client is only closed where that was in order. */
  #breakEngine(isInOrder: boolean): void {
    if (this.#isOver) return;
    this.#isEngineBroken = true;
    this.#engine?.closed(ABNORMAL, "");
    this.#end(this.#toClient);
    if (isInOrder) this.#end(this.#toEngine);
  }

  #isStale({ writtenAt }: Direction): boolean {
    const { now, writeTimeout } = this.#settings;
    return writtenAt !== undefined && now() - writtenAt > writeTimeout;
  }

  /** Ends a direction when no data message has come for too long. */
  #startTimer(direction: Direction): void {
    clearTimeout(direction.timer as never);
    direction.timer = startTimer(() => this.#end(direction), this.#settings.readTimeout);
  }

  #end(direction: Direction): void {
    if (direction.isOver) return;
    direction.isOver = true;
    clearTimeout(direction.timer as never);
    if (this.#toEngine.isOver && this.#toClient.isOver) {
      this.#finish();
      this.#client.terminate();
      this.#engine?.closed(ABNORMAL, "");
    } else if (direction === this.#toEngine) {
      this.#client.pause?.();
    }
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const direction of [this.#toEngine, this.#toClient]) {
      direction.isOver = true;
      clearTimeout(direction.timer as never);
    }
    this.#release();
  }
}
