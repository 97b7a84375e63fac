import model from "./scorecard/coefficients.json" with { type: "json" };

/** What the scorecard says about one row. */
export interface ScorecardResult {
  /** Probability (0..1) of "benign". */
  readonly probability: number;
  /** Whole points: 600 at odds of 50:1 for "benign", and every 20 points double the odds. */
  readonly score: number;
  /** The more probable of the two classes. */
  readonly label: "benign" | "malignant";
}

/** One row the model has not been trained on, and what it has to answer. */
export interface ScorecardSample {
  /** Feature name to value, complete. */
  readonly features: Readonly<Record<string, number>>;
  /** Computed by the training script. */
  readonly expected: ScorecardResult;
}

/** The names of the eight features every row must have, in the order of the coefficients. */
export const SCORECARD_FEATURES: readonly string[] = model.features.map((feature) => feature.name);

/** Five rows from the held-out part of the data, from a low score to a high one, with the expected results. */
export const scorecardSamples: readonly ScorecardSample[] = model.samples.map(({ features, expected }) => ({
  features,
  expected: { ...expected, label: label(expected.label === "benign") },
}));

/**
 * Scores rows of the eight `SCORECARD_FEATURES` (finite numbers, in the units of the data set), one result per row in
 * the same order; throws a `TypeError` for a row with a missing, non-numeric or unknown feature.
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
  // Own properties only, on both sides: parsed JSON may have a key "__proto__", and every object inherits "constructor".
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
    // Values near the end of the number range overflow; the sum could even become NaN.
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

/** A key comes from the caller: keep the message short. */
function quote(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}...` : name);
}
