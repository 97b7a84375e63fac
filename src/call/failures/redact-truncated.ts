import { MIN_TOKEN_LENGTH, redactableTokens, redactText, type Secrets } from "./redact.js";

/**
 * Redacts tokens in text that may have been truncated. If the text ends with the beginning of a token, that part is
 * redacted too.
 */
export function redactTruncated(text: string, secrets: Secrets): string {
  const clean = redactText(text, secrets);
  for (const token of redactableTokens(secrets)) {
    for (let length = token.length - 1; length >= MIN_TOKEN_LENGTH; length--) {
      if (clean.endsWith(token.slice(0, length))) return `${clean.slice(0, -length)}***`;
    }
  }
  return clean;
}
