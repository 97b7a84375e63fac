import { randomUuid } from "../../../../util/uuid.js";
import type { EmulatorCall } from "../../service.js";
import { badRequest, pageOf } from "./list-responses.js";

/** Maximum size of a file, as documented by EAS. */
const MAX_FILE_BYTES: number = 200 * 1024 ** 2;
/** Maximum total size of a service's files. Larger uploads are refused until files are deleted. */
const MAX_STORED_BYTES: number = 512 * 1024 ** 2;
/** Maximum number of files per service. */
const MAX_FILES = 1000;

/** A file in the form of OpenAI's interface. */
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

  /** Stores a file. Throws an `LlmRefusal` with status 413 if the file is too large or the store is full. */
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

  /** Returns a file with its content. Throws an `LlmRefusal` with status 404 for an unknown id. */
  get(id: string): StoredFile {
    const stored = this.#files.get(id);
    if (stored === undefined) throw badRequest(`No such File object: ${id}`, "id", 404);
    return stored;
  }

  /** Deletes a file. Throws an `LlmRefusal` with status 404 for an unknown id. */
  delete(id: string): object {
    const { content } = this.get(id);
    this.#files.delete(id);
    this.#bytes -= content.length;
    return { id, object: "file", deleted: true };
  }

  /** Returns a page of files, optionally only those with the requested purpose. */
  list(query: URLSearchParams): object {
    const purpose = query.get("purpose");
    const files = [...this.#files.values()].map(({ file }) => file).reverse();
    const chosen = purpose === null ? files : files.filter((file) => file.purpose === purpose);
    return pageOf(chosen, query, 10_000, 10_000);
  }

  /** Stores the file of a multipart form with `purpose=batch` and `file`. Throws an `LlmRefusal` if the form is invalid. */
  async upload({ body, headers }: EmulatorCall): Promise<FileObject> {
    const contentType = headers.get("content-type") ?? "";
    let form: FormData;
    try {
      form = await new Response(body, { headers: { "content-type": contentType } }).formData();
    } catch {
      throw badRequest(
        `the body with the content type ${JSON.stringify(contentType)} is not a valid multipart/form-data form`,
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
