import { onTestFinished, vi } from "vitest";

/** What a test makes of the answer; the events come when it says so. */
interface Answer {
  readonly status: number;
  readonly headers?: string;
  readonly responseURL?: string;
}

type Handler = ((event: { loaded: number }) => void) | null;

/** An `XMLHttpRequest` whose events a test fires. As a browser's, its handlers' errors reach nobody but `uncaught`. */
export class FakeXhr {
  static readonly HEADERS_RECEIVED = 2;
  /** All that were made, in order. */
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

  /** Puts it in place of the browser's for the rest of the test. */
  static install(where: "page" | "worker" = "page"): typeof FakeXhr {
    FakeXhr.made = [];
    FakeXhr.uncaught = [];
    FakeXhr.#sent = 0;
    vi.stubGlobal("XMLHttpRequest", FakeXhr);
    if (where === "page") vi.stubGlobal("document", {});
    onTestFinished(() => void vi.unstubAllGlobals());
    return FakeXhr;
  }

  /** The first, second … that is sent, when it is. */
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

  /** So many bytes of the body have gone. */
  uploaded(loaded: number): void {
    this.tell(this.upload.onprogress, loaded);
  }

  /** The head of the answer is there. */
  head({ status, headers = "", responseURL = this.url }: Answer): this {
    Object.assign(this, { status, responseURL, readyState: 2 });
    this.#allHeaders = headers;
    this.tell(this.onreadystatechange, 0);
    return this;
  }

  /** More of the body is there: of a success its number of bytes, of another answer its text so far. */
  came(bytes: number | string): this {
    this.readyState = 3;
    if (typeof bytes === "string") this.response = bytes;
    this.tell(this.onprogress, typeof bytes === "string" ? bytes.length : bytes);
    return this;
  }

  /** The whole body is there. */
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
