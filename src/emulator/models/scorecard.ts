import model from "./scorecard/coefficients.json" with { type: "json" };

/** The result for one row. */
export interface ScorecardResult {
  /** Probability (0 to 1) of "benign". */
  readonly probability: number;
  /** Score as an integer: 600 points mean odds of 50:1 for "benign", and every 20 points double the odds. */
  readonly score: number;
  /** The more likely class. */
  readonly label: "benign" | "malignant";
}

/** A row that was not used for training, with its expected result. */
export interface ScorecardSample {
  /** Value of every feature, by name. */
  readonly features: Readonly<Record<string, number>>;
  /** The result that the training script computed. */
  readonly expected: ScorecardResult;
}

/** Names of the eight required features, in coefficient order. */
export const SCORECARD_FEATURES: readonly string[] = model.features.map((feature) => feature.name);

/** Five held-out rows with their expected results, sorted by ascending score. */
export const scorecardSamples: readonly ScorecardSample[] = model.samples.map(({ features, expected }) => ({
  features,
  expected: { ...expected, label: label(expected.label === "benign") },
}));

/**
 * Scores rows of the eight `SCORECARD_FEATURES` and returns one result for each row, in the same order. Values are finite
 * numbers in the units of the data set.
 *
 * @throws TypeError for a row with a missing, non-numeric or unknown feature.
 */
export function scoreApplicants(rows: readonly Record<string, unknown>[]): ScorecardResult[] {
  if (!Array.isArray(rows)) throw new TypeError(`rows: expected an array of objects with ${EXPECTED}`);
  return rows.map(scoreRow);
}

const KNOWN: ReadonlySet<string> = new Set(SCORECARD_FEATURES);
const EXPECTED = `the features ${SCORECARD_FEATURES.join(", ")}`;

function scoreRow(row: unknown, index: number): ScorecardResult {
  if (typeof row !== "object" || row === null || Array.isArray(row)) {
    throw new TypeError(`row ${index}: not an object; expected ${EXPECTED}`);
  }
  // Check own properties only: parsed JSON may contain the key "__proto__", and every object inherits "constructor".
  for (const name of Object.keys(row)) {
    if (!KNOWN.has(name)) throw new TypeError(`row ${index}: unknown feature ${quote(name)}; expected ${EXPECTED}`);
  }
  let logOdds = model.intercept;
  for (const { name, mean, scale, coefficient } of model.features) {
    if (!Object.hasOwn(row, name)) {
      throw new TypeError(`row ${index}: feature "${name}" is missing; expected ${EXPECTED}`);
    }
    const value = (row as Record<string, unknown>)[name];
    if (typeof value !== "number" || !Number.isFinite(value)) {
      throw new TypeError(`row ${index}: feature "${name}" is not a finite number; expected numbers for ${EXPECTED}`);
    }
    logOdds += coefficient * ((value - mean) / scale);
    // Reject values so large that they overflow, because the sum could become NaN.
    if (!Number.isFinite(logOdds)) {
      throw new TypeError(`row ${index}: feature "${name}" is too large to score; expected ${EXPECTED}`);
    }
  }
  return {
    probability: 1 / (1 + Math.exp(-logOdds)),
    score: Math.round(model.points.offset + model.points.factor * logOdds),
    label: label(logOdds >= 0),
  };
}

function label(benign: boolean): ScorecardResult["label"] {
  return benign ? "benign" : "malignant";
}

/** Quotes a name and limits its length, because it comes from the caller. */
function quote(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}...` : name);
}
