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

// Checks that every recorded vector is replayed, or skipped with a reason, in one of the test files.

const FORMATS = ["string", "tf", "torch", "blade", "blade-tf", "onnx"];
const REQUEST_FAMILIES = [...FORMATS, "sign", "queue", "codec", "discovery", "wrr"];
const RESPONSE_FAMILIES = [...FORMATS, "dataframe", "dataframelist"];

const REPLAYED = [...REQUESTS, ...BUILD_ERRORS, ...SIGNATURES, ...RESPONSES, ...QUEUE, ...DISCOVERY, ...TURNS];

test("the record is complete", () => {
  expect(RECORD).toHaveLength(329);
  expect(RECORD[0]?.name).toBe("_meta");
  expect(new Set(RECORD.map(({ name }) => name)).size).toBe(RECORD.length);
});

test("every skipped vector exists and has a reason", () => {
  const names = RECORD.map(({ name }) => name);
  for (const [name, reason] of Object.entries(SKIPPED)) {
    expect(names).toContain(name);
    expect(reason.length).toBeGreaterThan(10);
  }
});

test("every vector of these families is replayed or skipped exactly once", () => {
  const expected = RECORD.slice(1).filter(
    ({ name }) => REQUEST_FAMILIES.includes(name.split("/")[0] as string) || isOurResponse(name),
  );
  expect(OURS).toEqual(expected);
  const answered = [...REPLAYED.map(({ name }) => name), ...Object.keys(SKIPPED)];
  expect(answered.sort()).toEqual(expected.map(({ name }) => name).sort());
});

test("the numbers of replayed and skipped vectors are as recorded", () => {
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

/** Whether a response vector is replayed in this folder. Other files test the other formats. */
function isOurResponse(name: string): boolean {
  const [family, format] = name.split("/");
  return family === "resp" && RESPONSE_FAMILIES.includes(format as string);
}
