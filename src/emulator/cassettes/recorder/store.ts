import type { FileHandle } from "node:fs/promises";
import { EasUnsupportedError } from "../../../errors.js";
import { joinChunks, pushChunk, totalLength } from "../../../platform/chunks.js";
import { argumentTypeError, show } from "../../../util/argument-errors.js";
import { isError } from "../../../util/realms.js";
import {
  BODIES_FOLDER,
  bodyFiles,
  CASSETTE_FORMAT,
  CASSETTE_VERSION,
  type Cassette,
  type CassetteInteraction,
  hashInName,
  INDEX_FILE,
} from "../cassette.js";
import { formatIndex } from "./format-index.js";

/** Name of the file that keeps a second recorder out of a directory. The file contains the process ID. */
const LOCK_FILE = "recorder.lock";
/** Milliseconds between two writes of the index, which contains all interactions. */
const INDEX_INTERVAL = 200;
/** Maximum size of all bodies of a cassette in memory. */
const MAX_MEMORY_BYTES = 256 * 1024 * 1024;

/** Receives the bytes of one body. */
export interface BodySink {
  /** Reserves space for bytes. Returns false if they would exceed a limit. If so, do not write them. */
  reserve(length: number): boolean;
  /** Stores bytes. */
  write(bytes: Uint8Array): Promise<void>;
  /** Completes the body. Returns the name of its file; undefined if the body is empty. */
  finish(contentType: string | undefined): Promise<string | undefined>;
  /** Deletes the stored bytes. */
  discard(): Promise<void>;
}

/** Stores the bodies and the index of a cassette. */
export interface CassetteStore {
  body(): Promise<BodySink>;
  /** Schedules a write of the interactions, which includes changes made in the meantime. */
  save(interactions: () => readonly CassetteInteraction[]): void;
  /** Stores the interactions, and releases the store. */
  close(interactions: readonly CassetteInteraction[]): Promise<void>;
  /** The bodies in memory; undefined if they are in files. */
  readonly bodies: Readonly<Record<string, Uint8Array>> | undefined;
}

/** Returns a cassette without bodies. */
export function createIndex(interactions: readonly CassetteInteraction[]): Omit<Cassette, "bodies"> {
  return { format: CASSETTE_FORMAT, version: CASSETTE_VERSION, interactions };
}

/** Keeps a cassette in memory. */
export class MemoryStore implements CassetteStore {
  readonly bodies: Record<string, Uint8Array> = {};
  readonly #maxBodyBytes: number;
  #bytes = 0;

  constructor(maxBodyBytes: number) {
    this.#maxBodyBytes = maxBodyBytes;
  }

  async body(): Promise<BodySink> {
    const { createHash } = await import("node:crypto");
    const chunks: Uint8Array[] = [];
    let reserved = 0;
    return {
      reserve: (length) => {
        if (reserved + length > this.#maxBodyBytes || this.#bytes + length > MAX_MEMORY_BYTES) return false;
        reserved += length;
        this.#bytes += length;
        return true;
      },
      write: async (bytes) => pushChunk(chunks, bytes.slice()),
      finish: async (contentType) => {
        const body = joinChunks(chunks, totalLength(chunks));
        if (body.length === 0) return undefined;
        const file = fileName(createHash("sha256").update(body).digest("hex"), contentType);
        this.bodies[file] ??= body;
        return file;
      },
      discard: async () => {
        this.#bytes -= reserved;
      },
    };
  }

  save(): void {}

  async close(): Promise<void> {}
}

/** Keeps a cassette in a directory. Only one store at a time can use the directory. */
export class DirectoryStore implements CassetteStore {
  readonly bodies = undefined;
  readonly #directory: string;
  readonly #maxBodyBytes: number;
  #partCount = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #written: Promise<void> = Promise.resolve();

  private constructor(directory: string, maxBodyBytes: number) {
    this.#directory = directory;
    this.#maxBodyBytes = maxBodyBytes;
  }

  /**
   * Opens a directory, which is created if necessary. Rejects with a `TypeError` if another recorder uses it, or if it
   * contains a cassette that must not be replaced.
   */
  static async open(directory: string, maxBodyBytes: number, overwrite: boolean): Promise<DirectoryStore> {
    const { mkdir, access, rm, writeFile } = await files();
    await mkdir(`${directory}/${BODIES_FOLDER}`, { recursive: true });
    await lock(directory);
    try {
      const index = `${directory}/${INDEX_FILE}`;
      const exists = await access(index).then(
        () => true,
        () => false,
      );
      if (exists && !overwrite) {
        throw argumentTypeError(
          "ERR_EAS_ARG_OPTION",
          `directory is ${show(directory)}: it contains a cassette. Set overwrite to replace the cassette.`,
        );
      }
      const store = new DirectoryStore(directory, maxBodyBytes);
      await store.#write([]);
      // Git must not convert line ends, because the name of a body file is the hash of its bytes.
      await writeFile(`${directory}/${BODIES_FOLDER}/.gitattributes`, "* -text\n");
      return store;
    } catch (error) {
      await rm(`${directory}/${LOCK_FILE}`, { force: true });
      throw error;
    }
  }

  async body(): Promise<BodySink> {
    const { open, rename, rm } = await files();
    const { createHash } = await import("node:crypto");
    const folder = `${this.#directory}/${BODIES_FOLDER}`;
    const part = `${folder}/${this.#partCount++}.part`;
    const hash = createHash("sha256");
    let handle: FileHandle | undefined;
    let reserved = 0;
    return {
      reserve: (length) => {
        if (reserved + length > this.#maxBodyBytes) return false;
        reserved += length;
        return true;
      },
      write: async (bytes) => {
        if (bytes.length === 0) return;
        handle ??= await open(part, "w");
        hash.update(bytes);
        await writeAll(handle, bytes);
      },
      finish: async (contentType) => {
        if (handle === undefined) return undefined;
        await handle.close();
        const file = fileName(hash.digest("hex"), contentType);
        await rename(part, `${folder}/${file}`);
        return file;
      },
      discard: async () => {
        await handle?.close();
        await rm(part, { force: true });
      },
    };
  }

  save(interactions: () => readonly CassetteInteraction[]): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#written = this.#written.then(() => this.#write(interactions()));
      // `close` writes the index again and reports the error.
      this.#written.catch(() => {});
    }, INDEX_INTERVAL);
  }

  async close(interactions: readonly CassetteInteraction[]): Promise<void> {
    const { readdir, rm } = await files();
    clearTimeout(this.#timer);
    await this.#written.catch(() => {});
    try {
      await this.#write(interactions);
      const used = bodyFiles(interactions);
      const folder = `${this.#directory}/${BODIES_FOLDER}`;
      const unused = (await readdir(folder)).filter(
        (file) => (hashInName(file) !== undefined && !used.has(file)) || /^\d+\.part$/.test(file),
      );
      for (const file of unused) await rm(`${folder}/${file}`, { force: true });
    } finally {
      await rm(`${this.#directory}/${LOCK_FILE}`, { force: true });
    }
  }

  /** Replaces the index atomically, so that the previous index survives if the recorder is killed. */
  async #write(interactions: readonly CassetteInteraction[]): Promise<void> {
    const { writeFile, rename } = await files();
    const index = `${this.#directory}/${INDEX_FILE}`;
    await writeFile(`${index}.part`, formatIndex(createIndex(interactions)));
    await rename(`${index}.part`, index);
  }
}

/** Loads the file system module, which bundlers for browsers may replace with an empty module. */
export async function files(): Promise<typeof import("node:fs/promises")> {
  const module: unknown = await import("node:fs/promises").catch((cause: unknown) => cause);
  if (typeof (module as { open?: unknown }).open === "function") return module as never;
  throw new EasUnsupportedError("Cassettes in directories need node:fs. Use readCassette here.", {
    cause: isError(module) ? module : undefined,
  });
}

/** Creates the lock file. Replaces the lock file of a process that has ended without removing it. */
async function lock(directory: string): Promise<void> {
  const { writeFile, readFile, rm } = await files();
  const path = `${directory}/${LOCK_FILE}`;
  for (let attempt = 0; ; attempt++) {
    try {
      return await writeFile(path, String(process.pid), { flag: "wx" });
    } catch (cause) {
      if ((cause as { code?: unknown }).code !== "EEXIST") throw cause;
      const owner = await readFile(path, "utf8").catch(() => "");
      if (attempt > 0 || isRunning(Number(owner))) {
        throw argumentTypeError(
          "ERR_EAS_ARG_OPTION",
          `directory is ${show(directory)}: process ${owner || "unknown"} records into it. Close that recorder, or delete ${LOCK_FILE} if it no longer runs.`,
        );
      }
      await rm(path, { force: true });
    }
  }
}

function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return true;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM means that the process exists, but this process may not signal it.
    return (error as { code?: unknown }).code === "EPERM";
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let from = 0; from < bytes.length; ) from += (await handle.write(bytes, from)).bytesWritten;
}

/** File extensions by content type, so that editors can display bodies. */
const EXTENSIONS: readonly (readonly [pattern: RegExp, extension: string])[] = [
  [/^application\/json\b|\+json\b/i, ".json"],
  [/^text\/event-stream\b/i, ".txt"],
  [/^text\/html\b/i, ".html"],
  [/^text\//i, ".txt"],
  [/^image\/png\b/i, ".png"],
  [/^image\/jpeg\b/i, ".jpg"],
];

function fileName(hash: string, contentType: string | undefined): string {
  const [, extension] = EXTENSIONS.find(([pattern]) => pattern.test(contentType ?? "")) ?? [undefined, ".bin"];
  return `${hash}${extension}`;
}
