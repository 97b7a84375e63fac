import { easHost } from "../../endpoint/host-names.js";
import { isResponse } from "../../util/realms.js";
import type { Fault } from "../faults.js";
import type { QueueCall } from "../queue/queue-state.js";
import { createResponse } from "../response.js";
import { type AcceptedSocket, chooseProtocol } from "../server/socket.js";
import { runService } from "../services/run-service.js";
import type { EmulatorCall, EmulatorService, UpgradeResult } from "../services/service.js";
import { attachService, breakSocket } from "../services/service-socket.js";
import type { AuthForm } from "./authorization.js";
import type { Target } from "./request-target.js";

/** A request that the gateway has received, with its target, log entry and fault. */
export interface ReceivedCall extends QueueCall {
  readonly entry: { readonly method: string; readonly url: string; readonly auth: AuthForm };
  readonly found: Target | undefined;
  readonly fault: Fault | undefined;
}

/**
 * Returns the response to a call that the gateway handles without calling a service. `list` is the discovery response
 * if the call is a discovery request.
 */
export function gatewayResponse(
  { request, entry, found, fault }: ReceivedCall,
  { token, list, isUpgrade }: { token: string; list: string | undefined; isUpgrade: boolean },
): Response | undefined {
  if (fault?.status !== undefined) return createResponse(fault.status, fault.body ?? "", fault.headers);
  if (list !== undefined) return createResponse(200, list, { "content-type": "application/json" });
  if (found === undefined) return createResponse(404, `service of ${unknownPlace(request)} not found`);
  if (token !== "" && (entry.auth === "none" || entry.auth === "wrong")) {
    return createResponse(401, entry.auth === "none" ? "no authorization" : "authorization failed");
  }
  const methods = found.service?.methods ?? ["POST"];
  const takesSocket = isUpgrade && (found.service?.accept ?? found.service?.socket) !== undefined;
  if (found.queue === undefined && !takesSocket && !methods.includes(entry.method)) {
    return createResponse(405, "method not allowed", { allow: methods.join(", ") });
  }
  return undefined;
}

function unknownPlace(request: Request): string {
  const { hostname, pathname } = new URL(request.url);
  return easHost(hostname)?.service === undefined ? pathname : hostname;
}

/**
 * Keeps a request alive as long as a handler holds its signal. On Node, the signal of a garbage-collected request never
 * fires.
 */
const requestsOfSignals = new WeakMap<AbortSignal, Request>();

/** Calls the service's handler for a request that was not refused. Rejects when the caller disconnects. */
export function runHandler(received: ReceivedCall): Promise<Response> {
  const { service, call } = callOf(received);
  requestsOfSignals.set(call.signal, received.request);
  return runService(service, call);
}

/**
 * Accepts or refuses a WebSocket upgrade to a queue's watch or a service. Must not be called for a request that the
 * gateway has refused.
 */
export async function acceptSocket(received: ReceivedCall): Promise<Response | AcceptedSocket> {
  const { request, found, fault } = received;
  if (found?.queue !== undefined) {
    const attach = await found.queue.accept(received);
    return isResponse(attach) ? attach : { protocol: chooseProtocol(request.headers, undefined), attach };
  }
  const { service, call } = callOf(received);
  const attach = await serviceUpgrade(service, call, fault);
  return isResponse(attach) ? attach : { protocol: chooseProtocol(request.headers, service.protocols), attach };
}

/** Lets a service accept or refuse a WebSocket upgrade. */
export async function serviceUpgrade(
  service: EmulatorService,
  call: EmulatorCall,
  fault: Fault | undefined,
): Promise<UpgradeResult> {
  if (service.accept !== undefined) {
    const attach = await service.accept(call);
    return isResponse(attach) || fault === undefined ? attach : (socket) => attach(breakSocket(socket, fault));
  }
  if (service.socket === undefined) return createResponse(400, `${call.service} does not accept WebSockets`);
  return attachService(service, call, chooseProtocol(call.headers, service.protocols), fault);
}

function callOf({ request, query, body, path, found }: ReceivedCall): { service: EmulatorService; call: EmulatorCall } {
  const { name, service } = found as { name: string; service: EmulatorService };
  const { method, headers, signal } = request;
  return { service, call: { service: name, method, path, query, headers, body, signal } };
}
