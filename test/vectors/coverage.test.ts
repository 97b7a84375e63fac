import { expect, test } from "vitest";
import {
  BUILD_ERRORS,
  DISCOVERY,
  OURS,
  QUEUE,
  RECORD,
  REQUESTS,
  RESPONSES,
  SIGNATURES,
  SKIPPED,
  SKIPPED_QUEUE,
  SKIPPED_REQUESTS,
  SKIPPED_RESPONSES,
  SKIPPED_SIGNATURES,
  TURNS,
} from "./replay.js";

// Which vectors of the record these tests answer for, so that none falls through between the files.

const FORMATS = ["string", "tf", "torch", "blade", "blade-tf", "onnx"];
const REQUEST_FAMILIES = [...FORMATS, "sign", "queue", "codec", "discovery", "wrr"];
const RESPONSE_FAMILIES = [...FORMATS, "dataframe", "dataframelist"];

const REPLAYED = [...REQUESTS, ...BUILD_ERRORS, ...SIGNATURES, ...RESPONSES, ...QUEUE, ...DISCOVERY, ...TURNS];

test("the record is whole", () => {
  expect(RECORD).toHaveLength(329);
  expect(RECORD[0]?.name).toBe("_meta");
  expect(new Set(RECORD.map(({ name }) => name)).size).toBe(RECORD.length);
});

test("every skipped vector exists, and has a reason", () => {
  const names = RECORD.map(({ name }) => name);
  for (const [name, reason] of Object.entries(SKIPPED)) {
    expect(names).toContain(name);
    expect(reason.length).toBeGreaterThan(10);
  }
});

test("no vector of these families is left out, and none is counted twice", () => {
  const expected = RECORD.slice(1).filter(
    ({ name }) => REQUEST_FAMILIES.includes(name.split("/")[0] as string) || isOurResponse(name),
  );
  expect(OURS).toEqual(expected);
  const answered = [...REPLAYED.map(({ name }) => name), ...Object.keys(SKIPPED)];
  expect(answered.sort()).toEqual(expected.map(({ name }) => name).sort());
});

test("so many are replayed, and so many skipped", () => {
  expect({
    requests: REQUESTS.length,
    buildErrors: BUILD_ERRORS.length,
    signatures: SIGNATURES.length,
    responses: RESPONSES.length,
    queue: QUEUE.length,
    discovery: DISCOVERY.length,
    turns: TURNS.length,
    skippedRequests: Object.keys(SKIPPED_REQUESTS).length,
    skippedSignatures: Object.keys(SKIPPED_SIGNATURES).length,
    skippedResponses: Object.keys(SKIPPED_RESPONSES).length,
    skippedQueue: Object.keys(SKIPPED_QUEUE).length,
    all: OURS.length,
  }).toEqual({
    requests: 72,
    buildErrors: 15,
    signatures: 17,
    responses: 53,
    queue: 38,
    discovery: 4,
    turns: 6,
    skippedRequests: 17,
    skippedSignatures: 2,
    skippedResponses: 17,
    skippedQueue: 9,
    all: 250,
  });
});

/** The responses of the other formats are read in other files. */
function isOurResponse(name: string): boolean {
  const [family, format] = name.split("/");
  return family === "resp" && RESPONSE_FAMILIES.includes(format as string);
}
