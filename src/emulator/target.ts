import type { Queue } from "./queue/queue.js";
import type { Queues } from "./queue/queues.js";
import type { EmulatorService } from "./service.js";

const PREDICT = "/api/predict/";

/** Where a request goes: to a service or to a queue. */
export interface Target {
  readonly name: string;
  /** Path behind the name. */
  readonly path: string;
  readonly service?: EmulatorService | undefined;
  readonly queue?: Queue | undefined;
}

/** What a path leads to: the longest name that whole segments of it spell, since a name may have a slash in it. */
export function findTarget(
  pathname: string,
  services: ReadonlyMap<string, EmulatorService>,
  queues: Queues,
): Target | undefined {
  const at = pathname.indexOf(PREDICT);
  if (at === -1) return undefined;
  const segments = pathname.slice(at + PREDICT.length).split("/");
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
