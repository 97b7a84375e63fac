import type { Command } from "commander";
import { type DataFrame, QueueClient, type QueueClientOptions } from "eas-prediction";
import { textOf } from "../arguments/body.js";
import { addConnectionOptions, type ConnectionOptions, clientOptions } from "../arguments/connection.js";
import { INPUT_HELP, readInput } from "../arguments/input.js";
import { collect, duration, integer } from "../arguments/numbers.js";
import { tagsOf } from "../arguments/tags.js";
import { addExamples, addJsonOption, type CommandContext } from "../command.js";
import type { Terminal } from "../terminal.js";

interface QueueFlags extends Omit<ConnectionOptions, "service"> {
  readonly queue?: string;
  readonly group?: string;
}

/** Uses a queue client, which is closed afterwards. */
type Use = (queue: QueueClient) => Promise<void>;

/** Adds the `queue` command with its subcommands. */
export function addQueueCommand(program: Command, { terminal, signal }: CommandContext): void {
  const queue = program.command("queue").summary("put, get and watch items in a queue");
  queue.description("Puts, gets and watches items in a queue service.");

  const subcommand = (usage: string, description: string) => {
    const command = queue.command(usage).description(description);
    addConnectionOptions(command, "queue");
    command.option("--group <name>", "consumer group (default: eas)");
    return addJsonOption(command);
  };

  const put = subcommand("put", "Puts an item into the queue and prints its index.")
    .option("-t, --tag <name=value>", "tag for the item; can be repeated", collect)
    .option("--request-id <id>", "request id of the item (default: the queue chooses one)")
    .option("--priority <number>", "priority of the item", integer(0));
  put.argument("<data>", INPUT_HELP);
  addExamples(put, [
    ["Put a JSON job with a tag", `eas-prediction queue put '{"prompt":"a cat"}' -q my_queue -t user=42`],
    ["Put a file", "eas-prediction queue put @job.json -q my_queue"],
  ]);
  put.action(async (data: string, flags: QueueFlags & PutFlags) => {
    const body = await readInput(data, terminal.stdin);
    await withQueue(flags, async (queue) => {
      const { index, requestId } = await queue.put(body, {
        signal,
        ...(flags.tag !== undefined && { tags: tagsOf(flags.tag) }),
        ...(flags.requestId !== undefined && { requestId: flags.requestId }),
        ...(flags.priority !== undefined && { priority: flags.priority }),
      });
      await terminal.result({ index, requestId }, () => `${index}`);
    });
  });

  const get = subcommand("get", "Gets items and deletes them. Prints nothing if no item arrives in time.")
    .option("-n, --length <count>", "maximum number of items", integer(1), 1)
    .option("--index <index>", "index of the first item", "0")
    .option("--request-id <id>", "gets only items with this request id")
    .option("-t, --tag <name=value>", "gets only items with this tag; can be repeated", collect)
    .option("-w, --wait <duration>", "time to wait for items", duration, 5_000)
    .option("--keep", "leaves the items in the queue");
  addExamples(get, [["Read the item at the head without deleting it", "eas-prediction queue get -q my_queue --keep"]]);
  get.action((flags: QueueFlags & GetFlags) =>
    withQueue(flags, async (queue) => {
      const frames = await queue.get({
        signal,
        length: flags.length,
        index: flags.index,
        timeout: flags.wait,
        autoDelete: flags.keep !== true,
        ...(flags.requestId !== undefined && { requestId: flags.requestId }),
        ...(flags.tag !== undefined && { tags: tagsOf(flags.tag) }),
      });
      for (const frame of frames) await printFrame(terminal, frame);
    }),
  );

  const watch = subcommand("watch", "Prints items as they arrive, one per line. Runs until you press Ctrl-C.")
    .option("--index <index>", "index of the first item; -1 for new items only", "0")
    .option("-n, --length <count>", "stops after this number of items", integer(1))
    .option("--window <count>", "maximum number of uncommitted items", integer(1), 10)
    .option("--keep", "does not commit the items, so that the queue delivers them again");
  addExamples(watch, [["Follow new results as JSON", "eas-prediction queue watch -q my_queue/sink --index -1 --json"]]);
  watch.action((flags: QueueFlags & WatchFlags) =>
    withQueue(flags, async (queue) => {
      let count = 0;
      for await (const frame of queue.watch(flags.index, flags.window, { signal })) {
        await printFrame(terminal, frame);
        if (flags.keep === true) frame.release();
        else await frame.commit();
        if (++count === flags.length) break;
      }
      // A watcher ends without an error when its signal fires.
      signal.throwIfAborted();
    }),
  );

  const stats = subcommand("stats", "Prints the attributes of the queue, such as its length and its consumers.");
  stats.action((flags: QueueFlags) =>
    withQueue(flags, async (queue) => {
      const attributes = await queue.attributes({ signal });
      const rows = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
      await terminal.result(attributes, () => terminal.table(["attribute", "value"], rows));
    }),
  );

  const truncate = subcommand("truncate <index>", "Deletes all items before an index.");
  truncate.action((index: string, flags: QueueFlags) => withQueue(flags, (queue) => queue.truncate(index, { signal })));

  const end = subcommand("end", "Ends the queue, so that it accepts no more items.")
    .option("--force", "also deletes undelivered items")
    .requiredOption("--yes", "confirms that you want to end the queue");
  end.action((flags: QueueFlags & { force?: boolean }) =>
    withQueue(flags, (queue) => queue.end({ signal, force: flags.force === true })),
  );
}

interface PutFlags {
  readonly tag?: readonly string[];
  readonly requestId?: string;
  readonly priority?: number;
}

interface GetFlags {
  readonly length: number;
  readonly index: string;
  readonly requestId?: string;
  readonly tag?: readonly string[];
  readonly wait: number;
  readonly keep?: boolean;
}

interface WatchFlags {
  readonly index: string;
  readonly length?: number;
  readonly window: number;
  readonly keep?: boolean;
}

async function withQueue(flags: QueueFlags, use: Use): Promise<void> {
  const options: QueueClientOptions = {
    ...(await clientOptions(flags)),
    ...(flags.queue !== undefined && { queueName: flags.queue }),
    ...(flags.group !== undefined && { gid: flags.group }),
  };
  const queue = new QueueClient(options);
  try {
    await use(queue);
  } finally {
    await queue.close();
  }
}

/** Prints an item: its fields as JSON with `--json`, otherwise its data as text. */
async function printFrame(terminal: Terminal, frame: DataFrame): Promise<void> {
  const { index, tags, data } = frame;
  const text = textOf(data);
  if (terminal.json) await terminal.printJson(text === undefined ? frame.toJSON() : { index, tags, text });
  else if (text === undefined) await terminal.write(data);
  else await terminal.print(text);
}
