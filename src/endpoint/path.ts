import { argumentTypeError, type EasArgumentErrorCode, show } from "../util/argument-errors.js";

/** Matches characters that RFC 3986 does not allow in a path. Does not match existing percent escapes. */
const TO_ENCODE = /%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]/gu;

/** Percent-encodes the characters that are not allowed in a path, as UTF-8. Existing escapes are left unchanged. */
export function encodePath(text: string): string {
  return text.replace(TO_ENCODE, encodeURIComponent);
}

/** Throws a `TypeError` for text with an unpaired surrogate, which UTF-8 cannot represent. */
export function checkText(code: EasArgumentErrorCode, name: string, text: string): void {
  if (/\p{Surrogate}/u.test(text)) {
    throw argumentTypeError(code, `${name} has an unpaired surrogate, which UTF-8 cannot represent`);
  }
}

/** Throws a `TypeError` for control characters and for "." and ".." segments, which could leave the service's path. */
export function checkSegments(code: EasArgumentErrorCode, name: string, text: string): void {
  checkText(code, name, text);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the expression rejects control characters
  if (/[\x00-\x1f\x7f]/.test(text)) {
    throw argumentTypeError(code, `${name} ${show(text)} contains a control character`);
  }
  // Also split the text at escaped slashes, because some proxies decode them before they resolve the path.
  for (const segment of text.split(/[/\\]|%2f|%5c/i)) {
    const plain = segment.replace(/%2e/gi, ".");
    if (plain === "." || plain === "..") {
      throw argumentTypeError(code, `${name} ${show(text)} has a "${segment}" segment, which would leave the service`);
    }
  }
}

/**
 * Whether a string is an origin in the form that browsers send, such as `"https://example.com"` without a trailing
 * slash.
 */
export function isOrigin(text: string): boolean {
  try {
    return new URL(text).origin === text;
  } catch {
    return false;
  }
}
