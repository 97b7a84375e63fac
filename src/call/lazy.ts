/**
 * Code that most calls do not need. This module is loaded on first use. A single module keeps the code in one bundle
 * chunk.
 */

export { delayUntil } from "./failures/http-date.js";
export { knownResponse, unwrapEventData } from "./failures/known-responses.js";
export { statusHint } from "./failures/status-hint.js";
export { hedge } from "./hedge.js";
export { CallObserver } from "./observers/call-observer.js";
export { warnOfPlainToken } from "./plain-token.js";

/** Returns the bytes of a `Blob`, which may come from another realm. */
export async function bytesOfBlob(blob: Blob): Promise<Uint8Array<ArrayBuffer>> {
  if (typeof blob.arrayBuffer === "function") return new Uint8Array(await blob.arrayBuffer());
  // The Blob of jsdom before 27 has neither arrayBuffer() nor stream().
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(new Uint8Array(reader.result as ArrayBuffer));
    reader.onerror = () => reject(reader.error);
    reader.readAsArrayBuffer(blob);
  });
}
