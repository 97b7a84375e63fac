import type { Bytes } from "../../formats/request.js";
import type * as contract from "../contract.js";
import type { TransportRequest, TransportResponse } from "../contract.js";

/**
 * The part of the contract that this module needs. Passed as an argument, because a shared import would become a
 * separate chunk that costs every page 0.4 kB.
 */
type Contract = typeof contract;

/**
 * Sends a request with XMLHttpRequest, which is the only way for a page to report upload progress. XMLHttpRequest
 * follows redirects. If a redirect leads to another origin, browsers drop the authorization header. A redirected
 * request always fails with an error.
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
    // Restart the attempt's timeout, because loading this file may have taken time.
    request.onDispatch();
    if (signal.aborted) return reject(signal.reason);
    const url = request.origin + request.path;
    const xhr = new XMLHttpRequest();
    xhr.open(request.method, url);
    for (const [name, value] of request.headers) xhr.setRequestHeader(name, value);
    xhr.responseType = "arraybuffer";
    // The charset must be set before the response arrives. It is needed because a partial body can be read only as
    // text.
    xhr.overrideMimeType("text/plain; charset=x-user-defined");

    let loaded = -1;
    const tell = (now: number) => {
      // Skip repeated reports: the last progress event and the load event report the same number of bytes.
      if (now <= loaded) return;
      loaded = now;
      // If the callback throws, the browser reports an uncaught error and the request continues.
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
      // Aborting has no effect if the request has already ended.
      xhr.abort();
    };
    const fail = (error: unknown) => settle(() => reject(error));
    const onAbort = () => fail(signal.reason);
    signal.addEventListener("abort", onAbort);

    const answer = (bytes: Bytes) =>
      settle(() => resolve({ status: xhr.status, headers: headersOf(xhr), body: bytes, contentEncoding: undefined }));
    /** Returns the maximum number of bytes to read. */
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
        const message = "the response is the target of a redirect, which XMLHttpRequest followed";
        return fail(new TransportError(message, { sent: "maybe", final: true }));
      }
      // In workers, the body is read completely, because Firefox returns no body there if the type changes this late.
      if (!isSuccess(xhr.status) && "document" in globalThis) xhr.responseType = "text";
      else check(Number(xhr.getResponseHeader("content-length") ?? 0));
    };
    xhr.onprogress = (event) => check(event.loaded);
    xhr.onload = () => {
      // The response is null if there was not enough memory.
      const { response } = xhr as { response: ArrayBuffer | string | null };
      const bytes = typeof response === "string" ? bytesOf(response) : response && new Uint8Array(response);
      const isTooLarge = bytes === null || (isSuccess(xhr.status) && bytes.length > most());
      if (isTooLarge) fail(responseTooLarge(request.maxResponseBytes));
      else answer(bytes.length > most() ? bytes.slice(0, most()) : bytes);
    };
    xhr.onerror = xhr.onabort = () => {
      // Browsers do not report why a request failed.
      fail(new TransportError("XMLHttpRequest failed", { sent: "maybe", opaque: request.phase !== "body" }));
    };
    xhr.send(body as Bytes | null);
  });
}

/**
 * Returns the bytes of text that was decoded with the charset "x-user-defined", in which each byte is one character.
 */
function bytesOf(text: string): Bytes {
  // A byte order mark overrides the charset. If there was one, the text was decoded as UTF-8 without the mark.
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
