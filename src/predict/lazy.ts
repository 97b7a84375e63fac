/**
 * Features that are loaded on first use, so that pages that only call `predict` do not load them. All these features
 * are in one module so that bundlers create a single chunk. Each additional chunk would also split the code that is
 * loaded at startup.
 */
export { collectBatch, streamBatch } from "./batch/start.js";
export { clientFetch } from "./fetch/client-fetch.js";
export { libraryFetch } from "./fetch/library-fetch.js";
export { blobBytes, formBytes } from "./input/form-bytes.js";
export { jsonRefusal } from "./input/json-refusal.js";
export { callJson } from "./json/json-call.js";
export { checkSchema, validateJson } from "./json/validate-json.js";
export { diagnose } from "./readiness/diagnose.js";
export { probe } from "./readiness/probe.js";
export { ready, untilReady } from "./readiness/ready.js";
export { connect } from "./socket/open-socket.js";
export { openPredictStream } from "./stream/stream.js";
