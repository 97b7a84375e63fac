import { createContext, runInContext } from "node:vm";

/** What a page has beside the language: nothing of Node. */
const WEB_GLOBALS = [
  ...["AbortController", "AbortSignal", "Blob", "CompressionStream", "DecompressionStream", "DOMException", "Event"],
  ...["EventTarget", "Headers", "ReadableStream", "Request", "Response", "TextDecoder", "TextEncoder"],
  ...["TransformStream", "URL", "URLSearchParams", "WritableStream", "atob", "btoa", "clearInterval", "clearTimeout"],
  ...["console", "crypto", "fetch", "performance", "queueMicrotask", "setInterval", "setTimeout", "structuredClone"],
];

/** Runs scripts one after another as a page without a module system does, and returns what `answer` resolves with. */
export async function runScripts(scripts, { settings, fetch = globalThis.fetch } = {}) {
  const page = createContext({
    ...Object.fromEntries(WEB_GLOBALS.map((name) => [name, globalThis[name]])),
    settings,
    fetch,
  });
  runInContext("globalThis.self = globalThis.window = globalThis", page);
  try {
    for (const script of scripts) runInContext(script, page);
  } finally {
    // Of a script that fails further down nobody waits for the answer.
    page.answer?.catch?.(() => {});
  }
  if (page.answer === undefined) throw new Error("the scripts gave no answer");
  // Of this realm again, for comparisons.
  return structuredClone(await page.answer);
}
