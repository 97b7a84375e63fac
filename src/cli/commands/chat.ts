import type { Command } from "commander";
import { PredictClient, type PredictClientOptions } from "eas-prediction";
import { addConnectionOptions, type ConnectionOptions, clientOptions } from "../arguments/connection.js";
import { INPUT_HELP, readInput } from "../arguments/input.js";
import { firstModel } from "../arguments/model.js";
import { fraction, integer } from "../arguments/numbers.js";
import { Conversation } from "../chat/conversation.js";
import { InteractiveChat } from "../chat/interactive-chat.js";
import { ResponseWriter } from "../chat/response-writer.js";
import { addExamples, addJsonOption, type CommandContext } from "../command.js";
import { usageError } from "../exit-codes.js";
import type { Terminal } from "../terminal.js";

interface ChatFlags extends ConnectionOptions {
  readonly model?: string;
  readonly system?: string;
  readonly temperature?: number;
  readonly maxTokens?: number;
  readonly path: string;
}

/** Adds the command `chat`, which talks to a language model. */
export function addChatCommand(program: Command, context: CommandContext): void {
  const command = program
    .command("chat")
    .summary("talk to a language model")
    .description("Talks to a language model. Without a message, reads messages from the terminal until you type /exit.")
    .argument("[message]", `${INPUT_HELP}; prints one response`);
  addConnectionOptions(command, "service");
  command
    .option("-m, --model <name>", "model (default: the first model that the service lists)")
    .option("--system <text>", "system prompt")
    .option("--temperature <number>", "randomness of the response", fraction)
    .option("--max-tokens <count>", "maximum number of tokens in a response", integer(1))
    .option("--path <path>", "path of the chat API", "/v1/chat/completions");
  addJsonOption(command);
  addExamples(command, [
    ["Talk to a model", "eas-prediction chat --service llm --system 'Answer in one sentence.'"],
    ["Ask one question about a file", "eas-prediction chat @question.txt --service llm"],
    ["Use it in a pipe", "git diff | eas-prediction chat --service llm --system 'Summarize this change.' | less"],
  ]);
  command.action(async (argument: string | undefined, flags: ChatFlags) => {
    const { terminal, signal } = context;
    const message = await messageOf(argument, terminal);
    const client = new PredictClient((await clientOptions(flags)) as PredictClientOptions);
    try {
      const { path, system, temperature, maxTokens } = flags;
      const model = flags.model ?? (await modelOf(client, context));
      const conversation = new Conversation(client, {
        model,
        path,
        ...(system !== undefined && { system }),
        ...(temperature !== undefined && { temperature }),
        ...(maxTokens !== undefined && { maxTokens }),
      });
      if (message === undefined) await new InteractiveChat(conversation, context).run(model);
      else await answer(conversation, message, terminal, signal);
    } finally {
      await client.close({ force: true });
    }
  });
}

/**
 * Returns the single message of a chat: the argument, or standard input if it is not a terminal. Returns undefined for an
 * interactive chat. Throws a usage error if there is neither a message nor a terminal.
 */
async function messageOf(argument: string | undefined, terminal: Terminal): Promise<string | undefined> {
  const source = argument ?? (terminal.stdin.isTTY === true ? undefined : "-");
  if (source !== undefined) {
    const message = new TextDecoder().decode(await readInput(source, terminal.stdin));
    if (message.trim() !== "") return message.replace(/\r?\n$/, "");
    throw usageError("the message is empty: pass text, @file, or text on standard input");
  }
  if (terminal.json) throw usageError("--json needs a message: pass it as an argument or on standard input");
  if (terminal.isInteractive) return undefined;
  throw usageError("standard output is not a terminal: pass the message as an argument or on standard input");
}

async function modelOf(client: PredictClient, { terminal, signal }: CommandContext): Promise<string> {
  const progress = terminal.progress("listing models");
  try {
    return await firstModel(client, signal);
  } finally {
    progress.stop();
  }
}

/** Prints one response. */
async function answer(
  conversation: Conversation,
  message: string,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  if (terminal.json) {
    await terminal.printJson(await conversation.send(message, async () => {}, signal));
    return;
  }
  const writer = new ResponseWriter(terminal);
  try {
    await conversation.send(message, writer.show, signal);
  } finally {
    await writer.end();
  }
}
