import { easHost, isSameService } from "../../endpoint/host-names.js";
import type { Queue } from "../queue/queue-state.js";
import type { Queues } from "../queue/registry.js";
import type { EmulatorService } from "../services/service.js";

const PREDICT = "/api/predict/";

/** The service or queue that a request addresses. */
export interface Target {
  readonly name: string;
  /** Path after the name. */
  readonly path: string;
  readonly service?: EmulatorService | undefined;
  readonly queue?: Queue | undefined;
}

/** The services and queues of the emulator. */
interface Known {
  readonly services: ReadonlyMap<string, EmulatorService>;
  readonly queues: Queues;
}

/**
 * Finds the target of a URL: by its host name if the host name belongs to a service, otherwise by the path after
 * `/api/predict/`.
 */
export function findTarget(hostname: string, pathname: string, known: Known): Target | undefined {
  const own = easHost(hostname)?.service;
  if (own !== undefined) return findOfHost(own, pathname, known);
  const at = pathname.indexOf(PREDICT);
  return at === -1 ? undefined : findNamed(pathname.slice(at + PREDICT.length).split("/"), known);
}

/**
 * Finds the service to which a host name belongs. For such a host name, the URL's whole path is the path within the
 * service. The root path becomes the empty path.
 */
function findOfHost(own: string, pathname: string, known: Known): Target | undefined {
  const names = [...known.queues.names(), ...known.services.keys()];
  const name = names.find((name) => isSameService(name.split("/", 1)[0] as string, own));
  if (name === undefined) return undefined;
  const path = pathname === "/" ? [] : pathname.slice(1).split("/");
  return findNamed([name.split("/", 1)[0] as string, ...path], known);
}

/** Finds the longest name that consists of whole path segments, because a name may contain slashes. */
function findNamed(segments: readonly string[], { services, queues }: Known): Target | undefined {
  for (let length = segments.length; length > 0; length--) {
    const name = decode(segments.slice(0, length).join("/"));
    const queue = queues.get(name);
    const service = services.get(name);
    if (queue === undefined && service === undefined) continue;
    const rest = segments.slice(length);
    return { name, path: rest.length === 0 ? "" : `/${rest.join("/")}`, ...(queue ? { queue } : { service }) };
  }
  return undefined;
}

/** Returns the root queue as the target, unless the path addresses a service. */
export function findRootQueue(pathname: string, queue: Queue | undefined): Target | undefined {
  return queue && !pathname.includes(PREDICT) ? { name: queue.name, path: pathname, queue } : undefined;
}

/** Decodes percent-encoding. Text with malformed encoding is returned unchanged. */
export function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
