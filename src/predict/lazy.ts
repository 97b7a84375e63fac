/**
 * What a client loads when it is first asked for it, beside plain predictions. One file, so that bundlers make one piece of it:
 * each piece more would cut what a page loads at its start into more and smaller pieces, too.
 */
export { clientFetch } from "./fetch/client-fetch.js";
export { libraryFetch } from "./fetch/library-fetch.js";
export { blobBytes, formBytes } from "./input/form-bytes.js";
export { jsonRefusal } from "./input/json-refusal.js";
export { callJson } from "./json/json-call.js";
export { diagnose } from "./readiness/diagnose.js";
export { probe } from "./readiness/probe.js";
export { ready, untilReady } from "./readiness/ready.js";
export { connect } from "./socket/open-socket.js";
export { openPredictStream } from "./stream/open-stream.js";
