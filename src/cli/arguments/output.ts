import { access, constants, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { usageError } from "../exit-codes.js";

/** Throws a usage error if a file cannot be created in its folder. Call it before a request, whose result would be lost. */
export async function checkOutputFile(file: string, option = "--output"): Promise<void> {
  try {
    await access(dirname(file), constants.W_OK);
  } catch (cause) {
    throw usageError(`${option} ${file} cannot be written: ${(cause as Error).message}`, { cause });
  }
}

/** Writes a file. Throws a usage error if it cannot be written. */
export async function writeOutputFile(file: string, data: Uint8Array | string): Promise<void> {
  try {
    await writeFile(file, data);
  } catch (cause) {
    throw usageError(`--output ${file} cannot be written: ${(cause as Error).message}`, { cause });
  }
}
