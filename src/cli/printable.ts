/**
 * Removes control characters, except line breaks and tabs. Text of a service could otherwise move the cursor, change the
 * title of the terminal or hide other text.
 */
export function printable(text: string): string {
  let result = "";
  for (const character of text) {
    const code = character.charCodeAt(0);
    const isControl = code < 0x20 || (code >= 0x7f && code < 0xa0);
    if (!isControl || character === "\n" || character === "\t") result += character;
  }
  return result;
}
