/** Words that do not describe the subject of a text. */
const COMMON: ReadonlySet<string> = new Set(
  (
    "a an and are as at be by can could do does for from get give has have how i in is it its me my of on or please set so tell " +
    "that the their them there these this to use used uses using was what when where which who why will with would you your " +
    "一下 一个 什么 怎么 怎样 今天 可以 我们 请问 如何 这个 那个"
  ).split(" "),
);

/**
 * Returns the words of a text in lower case. Names in camel case or with underscores are split, and Han text becomes pairs of
 * adjacent characters. Longer words are reduced to a stem, so that "calculator" and "calculate" match.
 */
export function wordsOf(text: string): string[] {
  const split = text.replace(/([\p{Ll}\p{N}])(\p{Lu})/gu, "$1 $2").toLowerCase();
  const runs = split.match(/\p{Script=Han}+|\p{N}+|(?:(?!\p{Script=Han})[\p{L}\p{M}])+/gu) ?? [];
  return runs.flatMap((run) => (/\p{Script=Han}/u.test(run) ? pairsOf(run) : isCommon(run) ? [run] : [stemOf(run)]));
}

/** Whether a word does not describe the subject of a text. */
export function isCommon(word: string): boolean {
  return COMMON.has(word);
}

function pairsOf(run: string): string[] {
  const characters = [...run];
  if (characters.length === 1) return characters;
  return characters.slice(1).map((character, index) => characters[index] + character);
}

function stemOf(word: string): string {
  if (word.length > 5) return word.slice(0, 5);
  return word.length > 3 && /[^s]s$/.test(word) ? word.slice(0, -1) : word;
}
