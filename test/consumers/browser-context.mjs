import { createContext, runInContext } from "node:vm";

/** Globals that a page has in addition to the language, without those of Node. */
const WEB_GLOBALS = [
  ...["AbortController", "AbortSignal", "Blob", "CompressionStream", "DecompressionStream", "DOMException", "Event"],
  ...["EventTarget", "Headers", "ReadableStream", "Request", "Response", "TextDecoder", "TextEncoder"],
  ...["TransformStream", "URL", "URLSearchParams", "WritableStream", "atob", "btoa", "clearInterval", "clearTimeout"],
  ...["console", "crypto", "fetch", "performance", "queueMicrotask", "setInterval", "setTimeout", "structuredClone"],
];

/** Runs scripts one after another, as a page without a module system does, and returns what `answer` resolves with. */
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
    // If a later script fails, this promise is not awaited.
    page.answer?.catch?.(() => {});
  }
  if (page.answer === undefined) throw new Error("the scripts returned no result");
  // Copied to this realm, so that comparisons work.
  return structuredClone(await page.answer);
}
