import type { Bytes } from "../../formats/request.js";

// Functions that format text as Go's standard library does, because the gateway is written in Go.

/** Encodes text as UTF-8. */
export function utf8(text: string): Bytes {
  return new TextEncoder().encode(text);
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  '"': '\\"',
  "\\": "\\\\",
};

/** Length of the parts of a quoted string. Joining parts is faster than appending each character to one long string. */
const PART_LENGTH = 8192;

/** Formats bytes like Go's `%q`: escapes bytes that are not valid UTF-8, and characters that are not printable. */
export function quote(bytes: Uint8Array): string {
  // Create the decoder on each call, because the emulator must be importable in jest-environment-jsdom, which does not
  // have TextDecoder.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const parts: string[] = [];
  let part = '"';
  for (let at = 0; at < bytes.length; ) {
    const byte = bytes[at] as number;
    const length = sequenceLength(bytes, at);
    if (length === 0) part += INVALID[byte];
    else if (length === 1) part += ASCII[byte];
    else part += printed(decoder.decode(bytes.subarray(at, at + length)));
    at += length || 1;
    if (part.length < PART_LENGTH) continue;
    parts.push(part);
    part = "";
  }
  return `${parts.join("")}${part}"`;
}

/** Returns the length of the valid UTF-8 sequence at an index; 0 if there is none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  if (first < 0x80) return 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  // The range of the second byte excludes overlong forms, surrogates, and characters above U+10FFFF.
  const min = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const max = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  for (let i = 1; i < length; i++) {
    const byte = bytes[at + i] ?? 0;
    if (i === 1 ? byte < min || byte > max : byte < 0x80 || byte > 0xbf) return 0;
  }
  return length;
}

function printed(character: string): string {
  if (/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(character)) return character;
  const code = character.codePointAt(0) as number;
  if (code < 0x20 || code === 0x7f) return `\\x${hex(code, 2)}`;
  return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
}

const hex = (code: number, length: number): string => code.toString(16).padStart(length, "0");

const INVALID: readonly string[] = Array.from({ length: 256 }, (_, byte) => `\\x${hex(byte, 2)}`);
const ASCII: readonly string[] = Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code);
  return ESCAPES[character] ?? printed(character);
});

/** Formats a value like Go's `json.Marshal`, which also escapes the characters that are special in HTML and scripts. */
export function toJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => `\\u${hex(character.charCodeAt(0), 4)}`);
}

/** Ranges of the statuses for which Go has a reason phrase. */
const KNOWN: readonly (readonly [first: number, last: number])[] = [
  [100, 103],
  [200, 208],
  [226, 226],
  [300, 305],
  [307, 308],
  [400, 418],
  [421, 426],
  [428, 429],
  [431, 431],
  [451, 451],
  [500, 508],
  [510, 511],
];
/** Go's reason phrases that differ from Node's. */
const REASONS: Readonly<Record<number, string>> = {
  413: "Request Entity Too Large",
  416: "Requested Range Not Satisfiable",
  418: "I'm a teapot",
};

/** Returns Go's reason phrase for a status, or `""` if the emulator's server already sends the same phrase. */
export function reasonOf(status: number): string {
  if (!KNOWN.some(([first, last]) => status >= first && status <= last)) return `status code ${status}`;
  return REASONS[status] ?? "";
}
