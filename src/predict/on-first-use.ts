/**
 * What a client loads when it is first asked for it, beside plain predictions. One file, so that bundlers make one piece of it:
 * each piece more would cut what a page loads at its start into more and smaller pieces, too.
 */
export { clientFetch } from "./client-fetch.js";
export { connect } from "./connect.js";
export { diagnose } from "./diagnose.js";
export { blobBytes, formBytes } from "./form-bytes.js";
export { callJson } from "./json-call.js";
export { jsonRefusal } from "./json-refusal.js";
export { libraryFetch } from "./library-fetch.js";
export { openPredictStream } from "./open-predict-stream.js";
export { probe } from "./probe.js";
export { ready, untilReady } from "./ready.js";
