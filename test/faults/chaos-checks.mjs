// Checks the invariants after a run of chaos.mjs, from the requests that the server received and the items that each
// handler saw.
import { count } from "./chaos-proxy.mjs";

/** Causes that must be logged once per item: it failed, or is too large. */
const PER_ITEM = /on purpose|could not be read/;
/** Causes that are logged each time that they occur. */
const RECREATED = /the queue was recreated/;

/** Returns the violated invariants. */
export function checkChaos({ report, workers, required, window, blocks = 0 }) {
  const { generations } = report;
  const problems = [];
  const contents = generations.map(({ texts }) => new Map(texts));
  const runsOf = new Map();
  for (const { uid, gid, runs, failures } of workers) {
    const own = new Map();
    for (const { text, index } of runs) {
      count(runsOf, `${gid} ${text}`);
      count(own, text);
      const generation = Number(text.split(":")[0]);
      if (contents[generation - 1].get(index) !== text) problems.push(`${uid} got "${text}" as item ${index}`);
    }
    // A consumer that holds an item, has committed it, or retries its commit does not receive it again.
    for (const [text, times] of own) {
      if (times > 1 + (failures.get(text) ?? 0)) problems.push(`${uid} handled "${text}" ${times} times`);
    }
  }
  for (const gid of new Set(workers.map(({ gid }) => gid))) {
    const missed = required.filter((text) => !runsOf.has(`${gid} ${text}`));
    if (missed.length > 0) problems.push(`${gid} never handled ${missed.length} items, such as "${missed[0]}"`);
    for (const [i, { pushes, commits, negatives }] of generations.entries()) {
      const textOf = (index) => contents[i].get(index);
      const unseen = commits.filter((each) => each[1] === gid && !runsOf.has(`${gid} ${textOf(each[0])}`));
      if (unseen.length > 0)
        problems.push(`${gid} committed ${unseen.length} items that it had not handled, such as ${unseen[0][0]}`);
      // A second run requires another connection, or a negative commit.
      const causes = new Map();
      const connections = new Set();
      for (const [index, group, , connection] of pushes) {
        if (group !== gid || connections.has(`${index} ${connection}`)) continue;
        connections.add(`${index} ${connection}`);
        count(causes, index);
      }
      for (const [index, group] of negatives) if (group === gid) count(causes, index);
      for (const [index, text] of contents[i]) {
        if (text === null) continue;
        const runs = runsOf.get(`${gid} ${text}`) ?? 0;
        if (runs > (causes.get(index) ?? 0)) problems.push(`${gid} handled "${text}" ${runs} times without a cause`);
      }
    }
  }
  for (const worker of workers)
    problems.push(...checkConnections(worker, report, blocks), ...checkReports(worker, generations));
  problems.push(...checkRequests(workers, report, window));
  return problems;
}

/** Each connection follows the end of the previous one, and each end is reported. */
function checkConnections({ uid, transport, statuses }, report, blocks) {
  const problems = [];
  const opened = new Map(report.opened).get(uid);
  const ends = new Map(report.ends);
  const of = (cause) => ends.get(`${uid} ${cause}`) ?? 0;
  const byServer = of("cut") + of("idle") + of("refused") + of("silent") + of("server");
  const tooLarge = tooLargeOf(report.generations).length;
  // Over a WebSocket, an item that is too large costs one connection that fails, and one that finds its index.
  const released = new Map(report.faulted).get(`${uid} negative`) ?? 0;
  // On a busy machine, or behind a handler that blocks the event loop, an attempt that timed out may not have arrived.
  const slow = blocks + statuses.filter(({ cause }) => cause?.code === "ERR_EAS_TIMEOUT").length;
  const byClient = (transport === "websocket" ? 2 * tooLarge : 0) + released + slow;
  if (of("client") > 1 + byClient) problems.push(`${uid} ended ${of("client")} connections, for ${byClient} reasons`);
  if (opened > 1 + byServer + of("client")) problems.push(`${uid} opened ${opened} connections after ${byServer} ends`);
  const reconnects = statuses.filter(({ state }) => state === "reconnecting").length;
  if (reconnects > opened + slow) {
    const causes = statuses.map(({ cause }) => cause?.message ?? cause).filter(Boolean);
    problems.push(`${uid} reported ${reconnects} reconnects of ${opened} connections: ${causes.join(" | ")}`);
  }
  if (reconnects < opened - 1) problems.push(`${uid} reported only ${reconnects} reconnects of ${opened} connections`);
  if (statuses.filter(({ state }) => state === "closed").length !== 1)
    problems.push(`${uid} did not report its end once`);
  return problems;
}

const tooLargeOf = (generations) =>
  generations.flatMap(({ texts }, i) => texts.filter((each) => each[1] === null).map(([index]) => `${i}:${index}`));

/** Each cause is logged once. */
function checkReports({ uid, gid, warnings, failures, unreadable, method }, generations) {
  const problems = [];
  const times = new Map();
  for (const warning of warnings) count(times, PER_ITEM.test(warning) ? warning : warning.replace(/\d+/g, "#"));
  for (const [cause, many] of times) {
    const limit = RECREATED.test(cause) ? generations.length - 1 : 1;
    // The same index can occur in both queues.
    const most = /could not be read/.test(cause) ? generations.length : limit;
    if (many > most) problems.push(`${uid} logged ${many} times: ${cause}`);
  }
  if (method === "consume") {
    const logged = warnings.filter((each) => /on purpose/.test(each)).length;
    if (logged !== failures.size)
      problems.push(`${uid}: ${failures.size} handlers failed, but ${logged} failures were logged`);
  }
  const pushed = new Set(
    generations.flatMap(({ texts, pushes }, i) => {
      const tooLarge = new Set(texts.filter((each) => each[1] === null).map(([index]) => index));
      return pushes
        .filter((each) => each[1] === gid && each[2] === uid && tooLarge.has(each[0]))
        .map(([index]) => `${i}:${index}`);
    }),
  ).size;
  const logged = warnings.filter((each) => /could not be read/.test(each)).length;
  if (logged > pushed) {
    const all = warnings.filter((each) => /could not be read/.test(each)).join(" | ");
    problems.push(`${uid} reported ${logged} of ${pushed} items that are too large: ${all}`);
  }
  if (method === "watch" && unreadable.length !== logged)
    problems.push(`${uid} threw ${unreadable.length} of ${logged}`);
  return problems;
}

/** Requests are retried only because of faults, ended connections and timeouts. */
function checkRequests(workers, { named, faulted, abandoned, opened, generations }, window) {
  const problems = [];
  const namedBy = new Map(named);
  const faultedBy = new Map(faulted);
  const openedBy = new Map(opened);
  const abandonedBy = new Map(abandoned);
  for (const { uid, runs } of workers) {
    const pushes = generations.flatMap((each) => each.pushes).filter((each) => each[2] === uid).length;
    const most = Math.max(runs.length, pushes) + (faultedBy.get(`${uid} commit`) ?? 0) + window * openedBy.get(uid);
    for (const operation of ["commit", "get"]) {
      const sent = namedBy.get(`${uid} ${operation}`) ?? 0;
      const limit = most + (abandonedBy.get(`${uid} ${operation}`) ?? 0);
      if (sent > limit) problems.push(`${uid} sent "${operation}" ${sent} times, but at most ${limit} have a cause`);
    }
  }
  return problems;
}
