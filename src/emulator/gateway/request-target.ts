import { easHost, isSameService } from "../../endpoint/host-names.js";
import type { Queue } from "../queue/queue-state.js";
import type { Queues } from "../queue/registry.js";
import type { EmulatorService } from "../services/service.js";

const PREDICT = "/api/predict/";

/** Where a request goes: to a service or to a queue. */
export interface Target {
  readonly name: string;
  /** Path behind the name. */
  readonly path: string;
  readonly service?: EmulatorService | undefined;
  readonly queue?: Queue | undefined;
}

/** What the gateway knows. */
interface Known {
  readonly services: ReadonlyMap<string, EmulatorService>;
  readonly queues: Queues;
}

/** What a URL leads to: the service whose own host it has, or what follows `/api/predict/` in its path. */
export function findTarget(hostname: string, pathname: string, known: Known): Target | undefined {
  const own = easHost(hostname)?.service;
  if (own !== undefined) return findOfHost(own, pathname, known);
  const at = pathname.indexOf(PREDICT);
  return at === -1 ? undefined : findNamed(pathname.slice(at + PREDICT.length).split("/"), known);
}

/** The whole path is the service's own, and its root is what the gateway calls without a path. */
function findOfHost(own: string, pathname: string, known: Known): Target | undefined {
  const names = [...known.queues.names(), ...known.services.keys()];
  const name = names.find((name) => isSameService(name.split("/", 1)[0] as string, own));
  if (name === undefined) return undefined;
  const path = pathname === "/" ? [] : pathname.slice(1).split("/");
  return findNamed([name.split("/", 1)[0] as string, ...path], known);
}

/** The longest name that whole segments spell, since a name may have a slash in it. */
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

export function findRootQueue(pathname: string, queue: Queue | undefined): Target | undefined {
  return queue && !pathname.includes(PREDICT) ? { name: queue.name, path: pathname, queue } : undefined;
}

export function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
