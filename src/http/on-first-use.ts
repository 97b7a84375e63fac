/** What a plain call does without, loaded by the first that needs it. One file, so that bundlers make one piece of it. */
export { CallObserver } from "./call-observer.js";
export { hedge } from "./hedge.js";
export { warnOfPlainToken } from "./plain-token.js";
