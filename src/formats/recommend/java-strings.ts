import { argumentRangeError, show } from "../../util/argument-errors.js";

/** Names, each with its texts. */
export type NamedTexts = readonly (readonly [name: string, texts: readonly string[]])[];

/**
 * Takes apart the text of Java's `appendUserFeatureString` (one text for each name) and `appendContextFeatureString`
 * (any number).
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

/** Takes apart the text of Java's `appendItemStr`. */
export function splitItems(text: string): string[] {
  // Java's split gives the whole text where no comma is in it, the empty one too.
  return text === "" ? [""] : withoutTrailingEmpty(text.split(","));
}

/** Java's `split` drops empty pieces at the end, but no others. */
function withoutTrailingEmpty(pieces: readonly string[]): string[] {
  let length = pieces.length;
  while (length > 0 && pieces[length - 1] === "") length--;
  return pieces.slice(0, length);
}

/** Lists inside of a list come with U+001D between their elements, where commas are wanted. */
function userText(text: string): string {
  return text.indexOf("|") > 0 && text.indexOf("\u001d") > 0 ? text.replaceAll("\u001d", ",") : text;
}
