import { argumentTypeError, type EasArgumentErrorCode, show } from "../util/argument-errors.js";

/** Anything but what RFC 3986 lets stand in a path, or an escape that is one already. */
const TO_ENCODE = /%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]/gu;

/** Text for a path: escapes stay, all that may not stand there is percent-encoded as UTF-8. */
export function encodePath(text: string): string {
  return text.replace(TO_ENCODE, encodeURIComponent);
}

/** Refuses text with half of a surrogate pair, which has no UTF-8 form. */
export function checkText(code: EasArgumentErrorCode, name: string, text: string): void {
  if (/\p{Surrogate}/u.test(text)) {
    throw argumentTypeError(code, `${name} has an unpaired surrogate, which cannot be sent`);
  }
}

/** Refuses control characters, and segments that a URL parser takes as "one up", since they lead out of the service. */
export function checkSegments(code: EasArgumentErrorCode, name: string, text: string): void {
  checkText(code, name, text);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (/[\x00-\x1f\x7f]/.test(text)) {
    throw argumentTypeError(code, `${name} ${show(text)} has a control character`);
  }
  // Escaped slashes too: some proxies decode them before they resolve the path.
  for (const segment of text.split(/[/\\]|%2f|%5c/i)) {
    const plain = segment.replace(/%2e/gi, ".");
    if (plain === "." || plain === "..") {
      throw argumentTypeError(code, `${name} ${show(text)} has a "${segment}" segment, which would leave the service`);
    }
  }
}
