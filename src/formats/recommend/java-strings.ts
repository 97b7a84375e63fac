import { argumentRangeError, show } from "../../util/argument-errors.js";

/** Lists of texts by name. */
export type NamedTexts = readonly (readonly [name: string, texts: readonly string[]])[];

/**
 * Parses the argument of Java's `appendUserFeatureString`, with one value per name, or `appendContextFeatureString`,
 * with any number of values.
 */
export function splitFeatures(
  text: string,
  separator: string,
): { readonly user: NamedTexts; readonly context: NamedTexts } {
  const parts = text
    .split(separator)
    .filter((part) => part.includes(":"))
    .map((part) => {
      const [name = "", ...texts] = withoutTrailingEmpty(part.split(":"));
      if (name === "") {
        throw argumentRangeError(
          "ERR_EAS_ARG_FEED",
          `text has the part ${show(part)}: there must be a name before its first colon`,
        );
      }
      return [name, texts] as const;
    });
  return { user: parts.map(([name, texts]) => [name, [userText(texts.join(":"))]]), context: parts };
}

/** Parses the argument of Java's `appendItemStr`. */
export function splitItems(text: string): string[] {
  // Java's `split` returns text without a comma as a single part, even if the text is empty.
  return text === "" ? [""] : withoutTrailingEmpty(text.split(","));
}

/** Removes only trailing empty parts, as Java's `split` does. */
function withoutTrailingEmpty(pieces: readonly string[]): string[] {
  let length = pieces.length;
  while (length > 0 && pieces[length - 1] === "") length--;
  return pieces.slice(0, length);
}

/** Replaces each U+001D between the elements of a nested list with a comma, as the service expects. */
function userText(text: string): string {
  return text.indexOf("|") > 0 && text.indexOf("\u001d") > 0 ? text.replaceAll("\u001d", ",") : text;
}
