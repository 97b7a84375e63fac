import type { Bytes } from "../../../formats/request.js";

/** The directories of ComfyUI. */
export type ComfyDirectory = "output" | "temp" | "input";

/** A file as ComfyUI names it in its results. */
export interface ComfyFile {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: ComfyDirectory;
}

/** The files that workflows have written. */
export class OutputFiles {
  readonly #files = new Map<string, Bytes>();
  readonly #counters = new Map<string, number>();

  /** Returns the bytes of a file. */
  get({ type, subfolder, filename }: ComfyFile): Bytes | undefined {
    return this.#files.get(keyOf(type, subfolder, filename));
  }

  /**
   * Writes a file whose name contains the next number for its prefix. Throws if the prefix leads out of the directory.
   */
  write(type: "output" | "temp", prefix: string, bytes: Bytes): ComfyFile {
    const parts = prefix.split(/[\\/]/);
    const isAbsolute = parts.length > 1 && parts[0] === "";
    if (parts.includes("..") || isAbsolute || prefix.includes("\0")) {
      throw new Error(`Saving image outside the output folder is not allowed: ${JSON.stringify(prefix)}`);
    }
    const name = parts.pop() as string;
    const subfolder = parts.filter((part) => part !== "." && part !== "").join("/");
    const counterKey = keyOf(type, subfolder, name);
    const count = (this.#counters.get(counterKey) ?? 0) + 1;
    this.#counters.set(counterKey, count);
    const file = { filename: `${name}_${String(count).padStart(5, "0")}_.png`, subfolder, type };
    this.#files.set(keyOf(type, subfolder, file.filename), bytes);
    return file;
  }

  /** Removes a file. */
  remove({ type, subfolder, filename }: ComfyFile): void {
    this.#files.delete(keyOf(type, subfolder, filename));
  }
}

function keyOf(type: string, subfolder: string, filename: string): string {
  return `${type}:${subfolder}/${filename}`;
}
