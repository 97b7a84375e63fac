import type { Bytes } from "../../formats/request.js";
import type * as contract from "../contract.js";
import type { TransportRequest, TransportResponse } from "../contract.js";

/**
 * What is needed of the contract. Handed over and not imported: what this file, which is loaded on first use, shared with others
 * would be a file of its own in a page, and cost all pages 0.4 kB.
 */
type Contract = typeof contract;

/**
 * One exchange by XMLHttpRequest, which alone tells a page how much of a body has gone. It follows redirects by itself, and the
 * browser takes the authorization off where one leads to another origin; that it was redirected is an error all the same.
 */
export function sendByXhr(
  request: TransportRequest,
  isSuccess: Contract["isSuccess"],
  mostErrorBytes: Contract["MAX_ERROR_BYTES"],
  responseTooLarge: Contract["responseTooLarge"],
  TransportError: Contract["TransportError"],
): Promise<TransportResponse> {
  return new Promise((resolve, reject) => {
    const { signal, body, onUploadProgress } = request;
    // This file may have been waited for.
    request.onDispatch();
    if (signal.aborted) return reject(signal.reason);
    const url = request.origin + request.path;
    const xhr = new XMLHttpRequest();
    xhr.open(request.method, url);
    for (const [name, value] of request.headers) xhr.setRequestHeader(name, value);
    xhr.responseType = "arraybuffer";
    // How the body of an error is read, which must be known before: a part of it can be had as text only.
    xhr.overrideMimeType("text/plain; charset=x-user-defined");

    let loaded = -1;
    const tell = (now: number) => {
      // The last piece is told twice, as progress and as the end.
      if (now <= loaded) return;
      loaded = now;
      // Out of an event handler what it throws is reported as an uncaught error, and nothing else.
      onUploadProgress?.({ loaded, total: body?.length ?? 0 });
    };
    xhr.upload.onloadstart = () => tell(0);
    xhr.upload.onprogress = (event) => tell(event.loaded);
    xhr.upload.onload = () => tell(body?.length ?? 0);

    const settle = (act: () => void) => {
      signal.removeEventListener("abort", onAbort);
      xhr.upload.onloadstart = xhr.upload.onprogress = xhr.upload.onload = null;
      xhr.onreadystatechange = xhr.onprogress = xhr.onload = xhr.onerror = xhr.onabort = null;
      act();
      // Without effect where it has ended by itself.
      xhr.abort();
    };
    const fail = (error: unknown) => settle(() => reject(error));
    const onAbort = () => fail(signal.reason);
    signal.addEventListener("abort", onAbort);

    const answer = (bytes: Bytes) =>
      settle(() => resolve({ status: xhr.status, headers: headersOf(xhr), body: bytes, contentEncoding: undefined }));
    /** The most bytes that are wanted; beyond them there is nothing to wait for. */
    const most = () => {
      const { maxResponseBytes } = request;
      return isSuccess(xhr.status) ? maxResponseBytes : Math.min(maxResponseBytes, mostErrorBytes);
    };
    const check = (length: number) => {
      if (xhr.responseType === "text") {
        if (xhr.responseText.length > most()) answer(bytesOf(xhr.responseText).slice(0, most()));
      } else if (length > request.maxResponseBytes) {
        if (isSuccess(xhr.status)) fail(responseTooLarge(request.maxResponseBytes));
        else answer(new Uint8Array(0));
      }
    };
    xhr.onreadystatechange = () => {
      if (xhr.readyState !== XMLHttpRequest.HEADERS_RECEIVED) return;
      request.phase = "body";
      if (xhr.responseURL !== "" && xhr.responseURL !== new URL(url).href) {
        const message = "the response comes from a redirect, which XMLHttpRequest followed by itself";
        return fail(new TransportError(message, { sent: "maybe", final: true }));
      }
      // Firefox's workers give nothing of a body whose type is changed so late: there it is had whole or not at all.
      if (!isSuccess(xhr.status) && "document" in globalThis) xhr.responseType = "text";
      else check(Number(xhr.getResponseHeader("content-length") ?? 0));
    };
    xhr.onprogress = (event) => check(event.loaded);
    xhr.onload = () => {
      // Null where the memory did not suffice.
      const { response } = xhr as { response: ArrayBuffer | string | null };
      const bytes = typeof response === "string" ? bytesOf(response) : response && new Uint8Array(response);
      const isTooLarge = bytes === null || (isSuccess(xhr.status) && bytes.length > most());
      if (isTooLarge) fail(responseTooLarge(request.maxResponseBytes));
      else answer(bytes.length > most() ? bytes.slice(0, most()) : bytes);
    };
    xhr.onerror = xhr.onabort = () => {
      // Why there is no answer, browsers say to nobody.
      fail(new TransportError("XMLHttpRequest failed", { sent: "maybe", opaque: request.phase !== "body" }));
    };
    xhr.send(body as Bytes | null);
  });
}

/** The bytes of a text in "x-user-defined", which has each in a character of its own. */
function bytesOf(text: string): Bytes {
  // A byte order mark overrules the charset: then it is a text after all, without its mark.
  if (/[^\0-\x7f\uf780-\uf7ff]/.test(text)) return new TextEncoder().encode(text);
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
}

function headersOf(xhr: XMLHttpRequest): Headers {
  const headers = new Headers();
  for (const line of xhr.getAllResponseHeaders().split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1));
  }
  return headers;
}
