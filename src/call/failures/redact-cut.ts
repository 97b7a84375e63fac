import { MIN_TOKEN_LENGTH, redactableTokens, redactText, type Secrets } from "./redact.js";

/** As `redactText`, for text that may have been cut: the beginning of a token at its end is redacted, too. */
export function redactTruncated(text: string, secrets: Secrets): string {
  const clean = redactText(text, secrets);
  for (const token of redactableTokens(secrets)) {
    for (let length = token.length - 1; length >= MIN_TOKEN_LENGTH; length--) {
      if (clean.endsWith(token.slice(0, length))) return `${clean.slice(0, -length)}***`;
    }
  }
  return clean;
}
