import { scoreApplicants } from "../models/scorecard.js";

/** The numeric `dataType` values in a `JsonRequest`. */
const NUMBER_TYPES: readonly unknown[] = [10, 20, 30, 40];

/** Scores the rows of a `JsonRequest`, `[{"mean_radius": {"dataType": 40, "dataValue": 14.1}, …}]`, as a `JsonResponse` body. */
export function scoreFeatureRows(inputs: unknown): string {
  if (!Array.isArray(inputs)) throw new TypeError('"inputs" must be an array of rows');
  const rows = inputs.map((input: unknown, index) => {
    if (typeof input !== "object" || input === null) throw new TypeError(`row ${index} is not an object`);
    return Object.fromEntries(Object.entries(input).map(([name, value]) => [name, numberOf(index, name, value)]));
  });
  const outputs = scoreApplicants(rows).map(({ probability, score, label }) => ({
    outputLabel: label,
    outputMulti: { benign: probability, malignant: 1 - probability },
    outputValue: { score, probability },
  }));
  return JSON.stringify({ outputs });
}

function numberOf(row: number, name: string, value: unknown): unknown {
  const { dataType, dataValue } = (value ?? {}) as { dataType?: unknown; dataValue?: unknown };
  if (!NUMBER_TYPES.includes(dataType))
    throw new TypeError(`row ${row}: "${name}" has the dataType ${dataType}: it must be 10, 20, 30 or 40`);
  return dataValue;
}
