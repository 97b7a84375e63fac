import { onTestFinished, vi } from "vitest";

/** A response that the test defines. The test also fires the events. */
interface Answer {
  readonly status: number;
  readonly headers?: string;
  readonly responseURL?: string;
}

type Handler = ((event: { loaded: number }) => void) | null;

/**
 * A fake `XMLHttpRequest` whose events the test fires. As in browsers, exceptions in its handlers are only reported as
 * `uncaught`.
 */
export class FakeXhr {
  static readonly HEADERS_RECEIVED = 2;
  /** All instances, in order. */
  static made: FakeXhr[] = [];
  static uncaught: unknown[] = [];
  static #sent = 0;
  static #onSend = (): void => {};

  readonly upload: Record<"onloadstart" | "onprogress" | "onload", Handler> = {
    onloadstart: null,
    onprogress: null,
    onload: null,
  };
  onreadystatechange: (() => void) | null = null;
  onprogress: Handler = null;
  onload: (() => void) | null = null;
  onerror: (() => void) | null = null;
  onabort: (() => void) | null = null;
  method = "";
  url = "";
  body: Uint8Array | null = null;
  readonly headers: [string, string][] = [];
  responseType = "";
  mimeType = "";
  readyState = 0;
  status = 0;
  responseURL = "";
  response: ArrayBuffer | string | null = null;
  aborted = false;
  #allHeaders = "";

  constructor() {
    FakeXhr.made.push(this);
  }

  /** Replaces the global XMLHttpRequest for the rest of the test. */
  static install(where: "page" | "worker" = "page"): typeof FakeXhr {
    FakeXhr.made = [];
    FakeXhr.uncaught = [];
    FakeXhr.#sent = 0;
    vi.stubGlobal("XMLHttpRequest", FakeXhr);
    if (where === "page") vi.stubGlobal("document", {});
    onTestFinished(() => void vi.unstubAllGlobals());
    return FakeXhr;
  }

  /** Returns the request with a number, counted from 1, when it is sent. */
  static async sent(count = 1): Promise<FakeXhr> {
    while (FakeXhr.#sent < count) {
      await new Promise<void>((resolve) => {
        FakeXhr.#onSend = resolve;
      });
    }
    return FakeXhr.made[count - 1] as FakeXhr;
  }

  open(method: string, url: string): void {
    Object.assign(this, { method, url });
  }

  setRequestHeader(name: string, value: string): void {
    this.headers.push([name, value]);
  }

  overrideMimeType(type: string): void {
    this.mimeType = type;
  }

  send(body: Uint8Array | null): void {
    this.body = body;
    this.readyState = 1;
    this.tell(this.upload.onloadstart, 0);
    FakeXhr.#sent++;
    FakeXhr.#onSend();
  }

  abort(): void {
    this.aborted = true;
  }

  getAllResponseHeaders(): string {
    return this.#allHeaders;
  }

  getResponseHeader(name: string): string | null {
    return new RegExp(`^${name}: (.*)\r`, "mi").exec(this.#allHeaders)?.[1] ?? null;
  }

  get responseText(): string {
    return this.response as string;
  }

  /** Reports the number of sent bytes. */
  uploaded(loaded: number): void {
    this.tell(this.upload.onprogress, loaded);
  }

  /** Receives the head of the response. */
  head({ status, headers = "", responseURL = this.url }: Answer): this {
    Object.assign(this, { status, responseURL, readyState: 2 });
    this.#allHeaders = headers;
    this.tell(this.onreadystatechange, 0);
    return this;
  }

  /** Receives more of the body: for a success a number of bytes, otherwise the text so far. */
  came(bytes: number | string): this {
    this.readyState = 3;
    if (typeof bytes === "string") this.response = bytes;
    this.tell(this.onprogress, typeof bytes === "string" ? bytes.length : bytes);
    return this;
  }

  /** Completes the body. */
  end(response: ArrayBuffer | string | null): void {
    Object.assign(this, { readyState: 4, response });
    this.tell(this.onload, 0);
  }

  fail(): void {
    Object.assign(this, { readyState: 4, status: 0, responseURL: "" });
    this.tell(this.onerror, 0);
  }

  private tell(handler: Handler | (() => void), loaded: number): void {
    try {
      handler?.({ loaded });
    } catch (error) {
      FakeXhr.uncaught.push(error);
    }
  }
}
