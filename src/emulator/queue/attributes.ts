import type { ConsumerRequest, Group } from "./consumers.js";
import { formatDuration } from "./duration.js";
import type { QueueSide } from "./queue-side.js";

/** Returns the attributes of a queue under the service's names. All values are text. */
export function attributesOf(side: QueueSide): Record<string, string> {
  const { store, context } = side;
  const { settings } = context;
  const groups = [...store.groups.values()];
  const consumers = groups.flatMap((group) => consumerLines(group, side));
  const total = String(consumers.length);
  const attributes: Record<string, string> = {
    "meta.backend": settings.backend,
    "meta.name": context.queueName,
    "meta.state": store.isEnded ? "End" : "OK",
    "meta.maxPayloadBytes": String(settings.maxPayloadBytes),
    // The official Go SDK reads the names of its headers from these attributes and fails without them.
    "meta.header.user": settings.userHeader,
    "meta.header.group": settings.groupHeader,
    "meta.header.priority": settings.priorityHeader,
    "stream.length": String(store.length),
    "stream.approxMaxLength": String(context.maxLength),
    // The first name is used by the Go SDK, and the second name by the documentation.
    "consumers.status.total": total,
    "consumers.stats.total": total,
  };
  const indexes = [...store.items()].map(({ index }) => index);
  if (indexes.length > 0) {
    attributes["stream.firstEntry"] = String(indexes[0]);
    attributes["stream.lastEntry"] = String(indexes[indexes.length - 1]);
  }
  for (const [i, line] of consumers.entries()) attributes[`consumers.list.[${i}]`] = line;
  for (const [i, group] of groups.entries()) attributes[`groups.list.[${i}]`] = groupLine(group);
  return attributes;
}

function consumerLines(group: Group, { context }: QueueSide): string[] {
  const now = context.now();
  const live = [...group.consumers.values()].map(({ request, pending, freeSlots, lastActive }) => {
    const { window, autoCommit } = request;
    const slots = autoCommit ? window : Math.max(0, freeSlots);
    return line(request, pending.size, "Running", now - lastActive, window, slots);
  });
  const former = [...group.former.values()].map(({ request, leftAt, hadPending }) => {
    const idle = now - leftAt;
    const status = idle < context.settings.leavingTime ? "Leaving" : hadPending ? "Exit" : "Complete";
    return line(request, 0, status, idle, 0, 0);
  });
  return [...live, ...former];
}

function line(
  { gid, uid, start, autoCommit, tags }: ConsumerRequest,
  pending: number,
  status: string,
  idle: number,
  window: number,
  slots: number,
): string {
  const pairs = Object.entries(tags).map(([name, value]) => `${name}=${value}`);
  const fields = [
    `Id: ${gid}.${uid}`,
    `Index: ${start}`,
    `Pending: ${pending}`,
    `Status: ${status}`,
    `Idle: ${formatDuration(idle)}`,
    `Window: ${window}`,
    `Slots: ${slots}`,
    `AutoCommit: ${autoCommit}`,
    ...(pairs.length === 0 ? [] : [`Tags: tags[${pairs.sort().join(" ")}]`]),
  ];
  return fields.join(", ");
}

/** Formats a group. Only the first field is documented; the other fields are assumptions. */
function groupLine(group: Group): string {
  const { gid, lastIndex, deliveries, consumers } = group;
  const pending = group.pendingCount();
  return `Id: ${gid}, Index: ${lastIndex}, Pending: ${pending}, Delivered: ${deliveries}, Consumers: ${consumers.size}`;
}
