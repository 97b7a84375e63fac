// American spelling: finds British forms and names the American one.

/** Stems that differ, with any ending. The key is the British stem. */
const STEMS = {
  behaviour: "behavior",
  colour: "color",
  favour: "favor",
  flavour: "flavor",
  honour: "honor",
  humour: "humor",
  labour: "labor",
  neighbour: "neighbor",
  rumour: "rumor",
  vapour: "vapor",
  armour: "armor",
  harbour: "harbor",
  endeavour: "endeavor",
  odour: "odor",
  saviour: "savior",
  vigour: "vigor",
  rigour: "rigor",
  clamour: "clamor",
  tumour: "tumor",
  grey: "gray",
  artefact: "artifact",
  catalogue: "catalog",
  analogue: "analog",
  licence: "license",
  defence: "defense",
  offence: "offense",
  pretence: "pretense",
  practise: "practice",
  manoeuvr: "maneuver",
  aluminium: "aluminum",
  sceptic: "skeptic",
  plough: "plow",
  cheque: "check",
  moustache: "mustache",
  judgement: "judgment",
  acknowledgement: "acknowledgment",
  instalment: "installment",
  fulfilment: "fulfillment",
  enrolment: "enrollment",
  skilful: "skillful",
  wilful: "willful",
  marvellous: "marvelous",
  woollen: "woolen",
  jewellery: "jewelry",
  focuss: "focus",
  ageing: "aging",
  enquir: "inquir",
  paediatr: "pediatr",
  encyclopaed: "encycloped",
  anaesth: "anesth",
  haemo: "hemo",
};

/** Whole words that differ. */
const WORDS = {
  centre: "center",
  centres: "centers",
  centred: "centered",
  centring: "centering",
  metre: "meter",
  metres: "meters",
  kilometre: "kilometer",
  kilometres: "kilometers",
  millimetre: "millimeter",
  millimetres: "millimeters",
  litre: "liter",
  litres: "liters",
  fibre: "fiber",
  fibres: "fibers",
  theatre: "theater",
  calibre: "caliber",
  spectre: "specter",
  sombre: "somber",
  programme: "program",
  programmes: "programs",
  whilst: "while",
  amongst: "among",
  learnt: "learned",
  spelt: "spelled",
  burnt: "burned",
  mould: "mold",
  kerb: "curb",
  tyre: "tire",
  tyres: "tires",
  storey: "story",
  cosy: "cozy",
  fulfil: "fulfill",
  fulfils: "fulfills",
  enrol: "enroll",
  enrols: "enrolls",
  maths: "math",
  analyse: "analyze",
  analysed: "analyzed",
  analyser: "analyzer",
  analysers: "analyzers",
  analysing: "analyzing",
  paralyse: "paralyze",
  paralysed: "paralyzed",
  paralysing: "paralyzing",
  catalyse: "catalyze",
  catalysed: "catalyzed",
};

/** Verbs whose final l is doubled before an ending in British spelling only. */
const DOUBLED =
  /^(?:un|re|mis|pre|multi)?(?:cance|trave|labe|mode|signa|leve|fue|tunne|channe|marsha|initia|tota|dia|rave|quarre|counse|funne|equa|penci|spira|towe|pane|riva|chise|parce|swive|barre|beve|gambo|snorke|grave|trowe)ll(?:ed|ing|ings|er|ers)$/;

/** Words in -ise, -ised, -ising and so on that are spelled so in American English too. */
const ISE =
  /^(?:\w*wise|(?:un|re|mis|non|over|im)?(?:raise|praise|noise|poise|promise|compromise|premise|precise|concise|exercise|enterprise|expertise|franchise|supervise|televise|improvise|advise|devise|revise|vise|comprise|surprise|apprise|disguise|guise|advertise|merchandise|paradise|excise|incise|demise|despise|chastise|cruise|bruise|treatise|turquoise|malaise|liaise|rise|arise|sunrise|anise|tortoise|chaise|reprise|appraise|braise|cerise))$/;

/** The American form of a British word in lower case, or undefined. */
function american(word) {
  if (Object.hasOwn(WORDS, word)) return WORDS[word];
  for (const [stem, other] of Object.entries(STEMS)) {
    if (!word.includes(stem) || (stem === "grey" && word.startsWith("greyhound"))) continue;
    if (word.startsWith(stem) || /^(un|re|dis|mis|multi|mono)$/.test(word.slice(0, word.indexOf(stem)))) {
      return word.replace(stem, other);
    }
  }
  if (DOUBLED.test(word)) return word.replace(/ll(\w+)$/, "l$1");
  const ise = /^(\w{2,})is(e|es|ed|ing|er|ers|able|ation|ations|ational)$/.exec(word);
  if (!ise) return undefined;
  const [, stem, ending] = ise;
  if (ending.startsWith("ation")) return /^(?:improv|superv|telev)$/.test(stem) ? undefined : `${stem}iz${ending}`;
  if (ISE.test(`${stem}ise`) || stem.length < 3) return undefined;
  return `${stem}iz${ending}`;
}

/** Gives the American word the case of the British one. */
function inCaseOf(word, other) {
  if (word === word.toUpperCase()) return other.toUpperCase();
  return word[0] === word[0].toUpperCase() ? other[0].toUpperCase() + other.slice(1) : other;
}

/** The parts of an identifier: "parse" and "Value" of "parseValue". */
const PARTS = /[A-Z]?[a-z]+|[A-Z]{2,}(?![a-z])/g;

/** Every British word in a text or an identifier, as { index, found, write }. */
export function britishWords(text) {
  const words = [];
  for (const { 0: found, index } of text.matchAll(PARTS)) {
    if (found.length < 4) continue;
    const other = american(found.toLowerCase());
    if (other !== undefined) words.push({ index, found, write: inCaseOf(found, other) });
  }
  return words;
}
