import type { Decoder } from "./decoder.js";
import { ARGUMENTS } from "./decoders/arguments.js";
import { COMPRESSIONS } from "./decoders/compressions.js";
import { HEADERS } from "./decoders/headers.js";
import { JSON_ANSWERS } from "./decoders/json.js";
import { MESSAGES } from "./decoders/messages.js";
import { STREAMS } from "./decoders/streams.js";

/** All functions that read untrusted bytes. */
export const DECODERS: readonly Decoder[] = [
  ...MESSAGES,
  ...JSON_ANSWERS,
  ...COMPRESSIONS,
  ...HEADERS,
  ...ARGUMENTS,
  ...STREAMS,
];
