// The rules of the language linter. A phrase rule has an `id`, a `pattern` and what to `write`. In a pattern `¶` matches the
// start of a sentence and `$$` the end of a clause. The rule `first-line` looks only at first sentences of docstrings in src.

import { britishWords } from "./spelling.mjs";
import { MASK } from "./texts.mjs";

const MAX_WORDS = 30;

/** Kinds of text that consist of full sentences. */
const SENTENCE_KINDS = new Set(["markdown", "docstring", "comment"]);

/** After these a full stop ends no sentence. */
const ABBREVIATION = /\b(?:e\.g|i\.e|vs|cf|approx|resp|incl|fig)\.$/i;

const BE = "(?:is|are|was|were|be|been|being)";
const ADJECTIVES =
  "small|smaller|smallest|large|larger|largest|big|bigger|long|longer|short|shorter|old|older|other|same|whole|" +
  "fast|faster|slow|slower|bad|busy";

/** @type {[id: string, pattern: string, write: string][]} */
const PHRASES = [
  [
    "is-no",
    `(?<!\\bthere(?:\\s+(?:may|can|must|will|would|should|could|might|has|have|had))?\\s+)\\b${BE}\\s+(?:no|none)\\b(?!\\s+(?:longer|more\\s+than|less|fewer|later|earlier|greater|larger|smaller)\\b)`,
    'a negated verb, such as "is not a …" or "there is no …"',
  ],
  ["is-no", "\\bhas\\s+none\\b(?!\\s+of\\b)", 'the noun, such as "has no timeout"'],
  [
    "is-no",
    "\\bnor\\s+(?:has|have|is|are|does|do|can|may)\\b",
    'a second sentence with "not", such as "It does not …"',
  ],
  [
    "else",
    "\\b(?:or|and|but|would|will|could|can|may|might|must|should|which|that)\\s+else\\b|[,;:]\\s+else\\b|¶else\\b|(?<!\\b(?:\\w+(?:thing|one|where|body)|what|who|where|much|little|all|how|when|if)\\s+)\\belse\\b$$",
    "otherwise",
  ],
  ["beside", "\\bbeside\\b", "besides, in addition to, or next to"],
  [
    "actor",
    "\\b(?:nobody|whoever|whomever|somebody|anybody|everybody)\\b",
    'the actor, such as "the client", "the service", "callers that …"',
  ],
  ["actor", "¶who\\b(?![^.!?]*\\?)", 'the actor, such as "Callers that …"'],
  [
    "actor",
    "[:;]\\s+who\\b(?![^.!?]*\\?)|\\b(?:for|to|of|by|from|with|and|or|but|says?|tells?|knows?|as|than|that|only|on|at|against|if|when|because|all|not|those|one|callers?|clients?)\\s+who\\b|\\bwho\\s+(?:asks?|waits?|takes?|gives?|needs?|wants?|reads?|writes?|sends?|calls?|has|does|did|is|was|comes?|came|holds?)\\b(?<!(?:users?|people|developers?|engineers?|authors?|readers?|those|operators?|maintainers?|anyone|someone|person|contributors?|,)\\s+who\\s+\\w+)(?![^.!?]*\\?)",
    'the actor, such as "callers that …"',
  ],
  [
    "again",
    `\\b(?:made|makes?|making)\\b(?:\\s+[\\w${MASK}]+){0,2}?\\s+(?:again|anew)\\b|\\banew\\b`,
    "retried, reopened, or recreated",
  ],
  ["undone", "\\b(?:undone|undoes|undoing|undo)\\b", "decompressed, decoded, or reverted"],
  [
    "at-most",
    "\\b(?:at\\s+the\\s+most|at\\s+the\\s+least|the\\s+(?:most|least)\\s+(?:[\\w-]+\\s+){0,3}?that)\\b",
    "the maximum, the minimum, at most, or at least",
  ],
  ["at-most", "\\bthe\\s+greatest\\b", "the maximum, or the largest"],
  ["told", "\\b(?:hears?|heard|hearing)\\s+(?:of|from|about|that|when|it|nothing)\\b", "is notified of, or receives"],
  ["told", "\\btold\\b(?!\\s+(?:apart|from)\\b)", "is notified, is instructed, or is reported"],
  ["told", "\\b(?:tells?|telling)\\s+(?:of|about)\\b", "reports"],
  ["clock", "\\bown\\s+clocks?\\b|\\bends?\\s+by\\s+(?:its|their)\\b", "times out"],
  ["lets-go", `\\b(?:lets?|letting)\\b(?:\\s+[\\w${MASK}]+){0,2}?\\s+go\\b`, "releases"],
  [
    "lets-go",
    `\\b(?:gives?|gave|given|giving)\\b(?:\\s+[\\w${MASK}]+){0,4}?\\s+back\\b`,
    "returns, or returns to the queue",
  ],
  ["what-came", "\\bwhat\\s+(?:is|was|are|lies)\\s+beyond\\b", "the rest"],
  [
    "what-came",
    "\\bwhat(?:ever)?\\s+(?:(?:has|had|have)\\s+)?(?:comes?|came)\\b",
    "the received part, or name the data",
  ],
  [
    "of-use",
    "\\bof\\s+(?:no|any|some|little|much)\\s+(?:use|meaning|interest)\\b|\\b" +
      BE +
      "\\s+of\\s+(?:use|meaning|interest)\\b",
    "useful, or meaningful",
  ],
  ["stands", "\\b(?:stand|stands|stood|standing)\\s+(?:for)\\b", "represents, or replaces"],
  ["stands", "\\b(?:stand|stands|stood|standing)\\s+(?:above|over)\\b", "overrides, or precedes"],
  [
    "stands",
    "\\b(?:stand|stands|stood|standing)\\s+(?:behind|under|in(?!\\s+the\\s+way\\b)|at|on|there|by|before|between|after|where|alone|beside|next|first|last|outside|inside|around|near|still|open|ready|up)\\b",
    '"is", or a verb of the field',
  ],
  [
    "turn",
    "\\bin\\s+(?:(?:their|its|his)\\s+)?(?:own\\s+)?turns?\\b|\\bby\\s+turns\\b",
    "round-robin, alternately, or one after another",
  ],
  ["for-ever", "\\bfor\\s+ever\\b", "indefinitely"],
  ["for-ever", "\\bever\\s+(?:more|less)\\b", '"increasingly", such as "with increasing intervals"'],
  ["for-ever", "\\bseldom(?:er)?\\b", "rarely, or less often"],
  [
    "as-came",
    "\\bas\\s+(?:it|they|he|that)\\s+(?:came|comes?|stands?|stood|is\\s+said|are\\s+said)\\b",
    "unchanged, or as specified",
  ],
  ["as-came", "\\bas\\s+(?:it|they)\\s+(?:is|are|was|were)\\b$$", "unchanged, or as specified"],
  [
    "words",
    "\\bin\\s+(?:(?:its|their|clear|plain|full|so\\s+many)\\s+(?:own\\s+)?)?words\\b",
    "with an explanatory message",
  ],
  ["words", "\\bwithout\\s+a\\s+(?:single\\s+)?word\\b", "silently"],
  ["words", "(?:'s\\s+own|\\b(?:server|service|browser|runtime|caller|gateway)(?:'s|s'))\\s+words?\\b", "message"],
  ["words", "\\b(?:with|by)\\s+(?:the|these|those|such|its|their)\\s+words\\b|\\bwhose\\s+words\\b", "message"],
  [
    "time",
    "\\b(?:has|have|had|with|without|takes?)\\s+(?:(?:a|no|its\\s+own)\\s+)time\\b(?!\\s*(?:stamp|out|zone|limit|span|series|to|of|that|-))",
    '"a timeout", or "no timeout"',
  ],
  ["cost", "\\b(?:dear|dearer|dearest|dearly)\\b", "expensive"],
  ["cost", "\\bcheap(?:er|est|ly)?\\b", "inexpensive, or fast"],
  ["cost", "(?<!-)\\bquick(?:er|est)?\\b(?!\\s*start)", "fast"],
  ["ones", "(?<!\\bzero(?:e?s)?\\s+(?:and|or)\\s+)\\bones\\b(?!\\s+and\\s+zero)", "the noun"],
  ["ones", `\\b(?:the|a|an|no|every|each)\\s+(?:${ADJECTIVES})\\s+one\\b`, "the noun"],
  [
    "archaic",
    "\\b(?:lest|thereof|whereof|hitherto|thither|whence|erstwhile|amid|ere|nought|naught|betwixt|upon)\\b",
    "a plain word",
  ],
  [
    "first-line",
    "¶(?:What|Whatever|Who|Whose|Whom)\\b(?![^.!?]*\\?)",
    'a noun or a verb first, such as "Options for …" or "Returns …"',
  ],
  [
    "first-line",
    "¶(?:How|Where|Wherever|Why)\\b(?![^.!?]*\\?)",
    'a noun or a verb first, such as "Number of …" or "Path of …"',
  ],
  [
    "first-line",
    "¶(?:When|Which)\\b(?![^.!?]*\\?)",
    'a noun or a verb first, such as "Time at which …" or "Selects …"',
  ],
];

/** Every id of a rule with what it asks for. */
export const RULES = {
  ...Object.fromEntries(PHRASES.map(([id, , write]) => [id, write])),
  length: `sentences of at most ${MAX_WORDS} words`,
  spelling: "American spelling",
};

const RULES_OF_PHRASES = PHRASES.map(([id, pattern, write]) => ({
  id,
  pattern: new RegExp(
    pattern.replaceAll("¶", "(?<=^\\s*[(\"'*_]*)").replaceAll("$$", "(?=\\s*(?:[.,;:!?)\\]]|$|—|–))"),
    "giu",
  ),
  write,
}));

/** The sentences of a text as { start, sentence }. */
export function* sentencesOf(text) {
  let start = 0;
  const ends = /[.!?][)"'”’\]]*(?=\s+\S)/gu;
  for (const { 0: mark, index } of text.matchAll(ends)) {
    if (mark.startsWith(".") && ABBREVIATION.test(text.slice(start, index + 1))) continue;
    yield { start, sentence: text.slice(start, index + mark.length) };
    start = index + mark.length;
  }
  yield { start, sentence: text.slice(start) };
}

/** The number of words; a code span is one word. */
export function countWords(sentence) {
  return sentence.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
}

const oneLine = (text) => text.trim().replace(/\s+/g, " ");

/** The findings in one text, as { index, rule, found, write }. */
export function check({ kind, text, isFirst }) {
  const findings = [];
  for (const { index, found, write } of britishWords(text)) findings.push({ index, rule: "spelling", found, write });
  if (kind === "name" || kind === "path") return findings;
  let isFirstSentence = true;
  for (const { start, sentence } of sentencesOf(text)) {
    for (const { id, pattern, write } of RULES_OF_PHRASES) {
      if (id === "first-line" && !(isFirst && isFirstSentence)) continue;
      for (const { 0: found, index } of sentence.matchAll(pattern)) {
        const overlaps = findings.some(
          ({ rule, index: at, end }) => rule === id && at < start + index + found.length && start + index < end,
        );
        if (overlaps) continue;
        const end = start + index + found.length;
        findings.push({ index: start + index, end, rule: id, found: oneLine(found.replace(/^[,;:]\s*/, "")), write });
      }
    }
    const words = countWords(sentence);
    if (SENTENCE_KINDS.has(kind) && words > MAX_WORDS) {
      const beginning = oneLine(sentence).split(" ").slice(0, 6).join(" ");
      findings.push({
        index: start + sentence.length - sentence.trimStart().length,
        rule: "length",
        found: `${beginning} … (${words} words)`,
        write: RULES.length,
      });
    }
    isFirstSentence = false;
  }
  return findings;
}
