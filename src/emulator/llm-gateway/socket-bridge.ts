import type { Bytes } from "../../formats/request.js";
import { ABNORMAL } from "../../platform/websocket-connection.js";
import { isResponse } from "../../util/realms.js";
import { startTimer, type TimerHandle } from "../../util/timing/clock.js";
import { breakBeforeHead, type Fault } from "../faults.js";
import { serviceUpgrade } from "../gateway/responses.js";
import { createResponse } from "../response.js";
import type { AcceptedSocket, EmulatorSocket, SocketHandlers } from "../server/socket.js";
import type { EmulatorCall, UpgradeResult } from "../services/service.js";
import type { Gateway, GatewaySettings, NoEngine } from "./gateway.js";
import { textResponse } from "./responses.js";

/** Opens a WebSocket to an engine and forwards messages between it and the client, like the first generation. */
export async function acceptThrough(
  gateway: Gateway,
  call: EmulatorCall,
  refuse: (reason: NoEngine) => Response,
): Promise<UpgradeResult> {
  const engine = await gateway.take(call.signal, true);
  if (typeof engine === "string") return refuse(engine);
  const connection = engine.connect();
  const release = () => {
    if (connection !== undefined) engine.release(connection);
    gateway.release(engine);
  };
  try {
    // Fail if the client offers extensions, as the gateway's WebSocket client does.
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
    if (error instanceof DialError) return textResponse(503, "Service Unavailable");
    throw error;
  }
}

/** Thrown when the connection to an engine fails or breaks before the response. */
class DialError extends Error {}

async function dial(gateway: Gateway, call: EmulatorCall, fault: Fault | undefined): Promise<UpgradeResult> {
  gateway.log(call);
  try {
    await breakBeforeHead(fault, call.signal);
  } catch {
    throw new DialError();
  }
  if (fault?.status !== undefined) return createResponse(fault.status, fault.body ?? "", fault.headers);
  return serviceUpgrade(gateway.settings.engine, call, fault);
}

/**
 * Returns a refusal for cross-origin pages. Like the gateway, the emulator checks the origin only after the engine has
 * accepted the WebSocket.
 */
function refuseOrigin({ headers }: EmulatorCall): Response | undefined {
  const origin = headers.get("origin");
  if (origin === null) return undefined;
  const host = URL.canParse(origin) ? new URL(origin).host : undefined;
  if (host !== undefined && host === headers.get("host")) return undefined;
  return textResponse(403, "Forbidden", { "sec-websocket-version": "13" });
}

/** The state of one direction of the connection. */
interface Direction {
  /** Whether the gateway has stopped reading this direction. */
  isOver: boolean;
  /** Time at which the last data message was written. */
  writtenAt: number | undefined;
  timer: TimerHandle | undefined;
}

/** Forwards messages between a client and an engine, until both directions have ended. */
class SocketBridge implements SocketHandlers {
  readonly #client: EmulatorSocket;
  readonly #settings: GatewaySettings;
  readonly #endsGracefully: boolean;
  readonly #release: () => void;
  readonly #toEngine: Direction = { isOver: false, writtenAt: undefined, timer: undefined };
  readonly #toClient: Direction = { isOver: false, writtenAt: undefined, timer: undefined };
  #engine: SocketHandlers | undefined;
  #isEngineBroken = false;
  #isOver = false;

  constructor(client: EmulatorSocket, settings: GatewaySettings, endsGracefully: boolean, release: () => void) {
    this.#client = client;
    this.#settings = settings;
    this.#endsGracefully = endsGracefully;
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
        // After the direction to the client has ended, the gateway does not read the engine's close frame.
        if (!this.#toClient.isOver) client.close(code, reason);
      },
      terminate: () => this.#breakEngine(this.#endsGracefully),
    });
    if (this.#isOver) this.#engine.onClose(ABNORMAL, "");
  }

  onMessage(message: Bytes | string): void {
    if (this.#toEngine.isOver) return;
    if (this.#isEngineBroken) {
      this.#end(this.#toEngine);
      return;
    }
    this.#toEngine.writtenAt = this.#settings.now();
    this.#startTimer(this.#toEngine);
    this.#engine?.onMessage(message);
  }

  /**
   * Decides whether to respond to a ping. The gateway forwards pings and pongs with the write deadline set by the last
   * data message in the same direction. After that deadline, all writes in that direction fail, and the gateway stops
   * reading from the side that sent the ping or pong.
   */
  onPing(): boolean {
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

  onDrain(): void {
    this.#engine?.onDrain();
  }

  onClose(code: number, reason: string): void {
    this.#finish();
    this.#engine?.onClose(code, reason);
  }

  #sent(message: Bytes | string): void {
    if (this.#toClient.isOver || this.#isEngineBroken) return;
    this.#toClient.writtenAt = this.#settings.now();
    this.#startTimer(this.#toClient);
    this.#client.send(message);
  }

  /** Handles the end of the engine's connection without a close frame. The client is closed only after a graceful end. */
  #breakEngine(isGraceful: boolean): void {
    if (this.#isOver) return;
    this.#isEngineBroken = true;
    this.#engine?.onClose(ABNORMAL, "");
    this.#end(this.#toClient);
    if (isGraceful) this.#end(this.#toEngine);
  }

  #isStale({ writtenAt }: Direction): boolean {
    const { now, writeTimeout } = this.#settings;
    return writtenAt !== undefined && now() - writtenAt > writeTimeout;
  }

  /** Restarts the timer that ends a direction without data messages. */
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
      this.#engine?.onClose(ABNORMAL, "");
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
