import { readFile } from "node:fs/promises";
import { usageError } from "../exit-codes.js";

/** Describes the accepted forms of an input, for help texts. */
export const INPUT_HELP = "text, @file, or - for standard input";

/**
 * Returns the bytes of an input argument: the text itself, the content of a file (`@file`), or standard input (`-`). To
 * pass text that starts with `@`, write `@@`. Throws a usage error if the file cannot be read.
 */
export async function readInput(argument: string, stdin: NodeJS.ReadStream): Promise<Uint8Array> {
  if (argument === "-") return readAll(stdin);
  if (argument.startsWith("@@")) return new TextEncoder().encode(argument.slice(1));
  if (argument.startsWith("@")) return readInputFile(argument.slice(1));
  return new TextEncoder().encode(argument);
}

/** Returns the bytes of a file. Throws a usage error if the file cannot be read. */
export async function readInputFile(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw usageError(`${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

async function readAll(stdin: NodeJS.ReadStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stdin) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}
