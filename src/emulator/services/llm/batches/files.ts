import { randomUuid } from "../../../../util/uuid.js";
import type { EmulatorCall } from "../../service.js";
import { badRequest, pageOf } from "./list-responses.js";

/** The maximum size of a file, as EAS documents it. */
const MAX_FILE_BYTES: number = 200 * 1024 ** 2;
/** The maximum size of all files of a service together. Larger uploads are refused until files are deleted. */
const MAX_STORED_BYTES: number = 512 * 1024 ** 2;
/** The maximum number of files of a service. */
const MAX_FILES = 1000;

/** A file as OpenAI's interface describes it. */
export interface FileObject {
  readonly id: string;
  readonly object: "file";
  readonly bytes: number;
  readonly created_at: number;
  readonly filename: string;
  readonly purpose: "batch" | "batch_output";
}

interface StoredFile {
  readonly file: FileObject;
  readonly content: Uint8Array;
}

/** The files of a service, in memory. */
export class FileStore {
  readonly #files = new Map<string, StoredFile>();
  #bytes = 0;

  /** Stores a file. Refuses files that are too large for the file limit or for the store. */
  add(prefix: string, content: Uint8Array, filename: string, purpose: FileObject["purpose"]): FileObject {
    const bytes = content.length;
    if (bytes > MAX_FILE_BYTES) {
      throw badRequest(`the file has ${bytes} bytes: the maximum is ${MAX_FILE_BYTES}`, "file", 413);
    }
    if (this.#bytes + bytes > MAX_STORED_BYTES || this.#files.size >= MAX_FILES) {
      const limits = `${MAX_FILES} files and ${MAX_STORED_BYTES} bytes`;
      throw badRequest(`the store is full: it holds ${limits}. Delete files`, "file", 413);
    }
    const id = `${prefix}_${randomUuid()}`;
    const file = { id, object: "file", bytes, created_at: Math.floor(Date.now() / 1000), filename, purpose } as const;
    this.#files.set(id, { file, content });
    this.#bytes += bytes;
    return file;
  }

  /** Returns a file with its content. Refuses unknown ids with 404. */
  get(id: string): StoredFile {
    const stored = this.#files.get(id);
    if (stored === undefined) throw badRequest(`No such File object: ${id}`, "id", 404);
    return stored;
  }

  delete(id: string): object {
    const { content } = this.get(id);
    this.#files.delete(id);
    this.#bytes -= content.length;
    return { id, object: "file", deleted: true };
  }

  list(query: URLSearchParams): object {
    const purpose = query.get("purpose");
    const files = [...this.#files.values()].map(({ file }) => file).reverse();
    const chosen = purpose === null ? files : files.filter((file) => file.purpose === purpose);
    return pageOf(chosen, query, 10_000, 10_000);
  }

  /** Stores the file of a form, `purpose=batch` and `file`. */
  async upload({ body, headers }: EmulatorCall): Promise<FileObject> {
    const contentType = headers.get("content-type") ?? "";
    let form: FormData;
    try {
      form = await new Response(body, { headers: { "content-type": contentType } }).formData();
    } catch {
      throw badRequest(
        `the body of the content type ${JSON.stringify(contentType)} is not a form of multipart/form-data`,
      );
    }
    const purpose = form.get("purpose");
    if (purpose !== "batch") throw badRequest(`purpose is ${JSON.stringify(purpose)}: it must be "batch"`, "purpose");
    const file = form.get("file");
    if (file === null || typeof file === "string")
      throw badRequest("file is missing: the form must have a file", "file");
    return this.add("batch_input", new Uint8Array(await file.arrayBuffer()), file.name, purpose);
  }
}
