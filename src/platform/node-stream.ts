import type { Dispatcher } from "undici";
import type { Bytes } from "../request.js";
import { type Exchange, type StreamedResponse, TransportError, type TransportRequest } from "./platform.js";

/** Bytes that wait to be read before the server is held back. */
const HIGH_WATER_BYTES = 262_144;

/** undici's handler for one exchange whose body is read piece by piece. */
export class StreamedExchange implements Dispatcher.DispatchHandler, Exchange, StreamedResponse {
  status = 0;
  headers: Headers = new Headers();
  contentEncoding: string | undefined = undefined;
  private readonly request: TransportRequest;
  private readonly resolve: (response: StreamedResponse) => void;
  private readonly reject: (reason: unknown) => void;
  private readonly chunks: Bytes[] = [];
  private buffered = 0;
  private abort: ((reason: Error) => void) | undefined = undefined;
  private resume: (() => void) | undefined = undefined;
  private reader: { resolve: (piece: Bytes | undefined) => void; reject: (reason: unknown) => void } | undefined =
    undefined;
  private end: { readonly reason?: unknown } | undefined = undefined;

  constructor(
    request: TransportRequest,
    resolve: (response: StreamedResponse) => void,
    reject: (reason: unknown) => void,
  ) {
    this.request = request;
    this.resolve = resolve;
    this.reject = reject;
    request.exchange = this;
    request.phase = "connect";
  }

  cancel(reason: unknown): void {
    this.reject(reason);
    this.finish({ reason });
    this.abort?.(new Error("cancelled"));
  }

  read(): Promise<Bytes | undefined> {
    const piece = this.chunks.shift();
    if (piece !== undefined) {
      this.buffered -= piece.length;
      if (this.buffered < HIGH_WATER_BYTES) this.resume?.();
      return Promise.resolve(piece);
    }
    return new Promise((resolve, reject) => {
      if (this.end === undefined) this.reader = { resolve, reject };
      else if ("reason" in this.end) reject(this.end.reason);
      else resolve(undefined);
    });
  }

  onConnect(abort: (reason?: Error) => void): void {
    if (this.end !== undefined) return abort(new Error("cancelled"));
    this.abort = abort;
    this.request.phase = "headers";
  }

  onHeaders(status: number, headers: Buffer[], resume: () => void): boolean {
    if (status < 200) return true;
    this.status = status;
    for (let i = 0; i + 1 < headers.length; i += 2) {
      this.headers.append((headers[i] as Buffer).toString("latin1"), (headers[i + 1] as Buffer).toString("latin1"));
    }
    this.contentEncoding = this.headers.get("content-encoding")?.trim().toLowerCase() || undefined;
    this.resume = resume;
    this.request.phase = "body";
    this.resolve(this);
    return true;
  }

  onData(chunk: Buffer): boolean {
    // undici does not write to it again, and hands over each chunk's own memory.
    const piece = new Uint8Array(chunk.buffer as ArrayBuffer, chunk.byteOffset, chunk.byteLength);
    if (this.reader !== undefined) {
      const { reader } = this;
      this.reader = undefined;
      reader.resolve(piece);
      return true;
    }
    this.chunks.push(piece);
    this.buffered += piece.length;
    return this.buffered < HIGH_WATER_BYTES;
  }

  onComplete(): void {
    this.finish({});
  }

  onError(error: Error): void {
    const reason = new TransportError(error.message, { sent: this.abort ? "maybe" : "no", cause: error });
    this.reject(reason);
    this.finish({ reason });
  }

  private finish(end: { readonly reason?: unknown }): void {
    if (this.end !== undefined) return;
    this.end = end;
    const { reader } = this;
    this.reader = undefined;
    if (reader === undefined) return;
    if ("reason" in end) reader.reject(end.reason);
    else reader.resolve(undefined);
  }
}
