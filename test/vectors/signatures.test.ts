import { expect, test } from "vitest";
import { PredictClient } from "../../src/index.js";
import { thrownBy } from "../support/calls.js";
import {
  provingHeaders,
  replaySignature,
  SIGNATURES,
  type SignatureVector,
  type SKIPPED_SIGNATURES,
  vectorNamed,
} from "./replay.js";

test.each(SIGNATURES)("$name", replaySignature);

test("every vector has a hash, a date and a signature, except for the raw token of a custom URL", () => {
  for (const { name, headers } of SIGNATURES) {
    const names = Object.keys(provingHeaders(headers));
    const signed = ["content-type", "authorization", "content-md5", "date"];
    expect(names).toEqual(name === "sign/custom-url" ? ["content-type", "authorization"] : signed);
  }
});

const INSTEAD: Readonly<Record<keyof typeof SKIPPED_SIGNATURES, string>> = {
  "sign/service-trailing-space": "spaces at its start or end",
  "sign/service-trailing-newline": "spaces at its start or end",
};

test.each(Object.entries(INSTEAD))("%s: throws", (name, why) => {
  const { service: serviceName, token } = vectorNamed<SignatureVector>(name);
  for (const act of [
    () => new PredictClient({ endpoint: "http://h", serviceName, token }),
    () => new PredictClient("http://h", serviceName),
    () => new PredictClient("http://h").setServiceName(serviceName),
  ]) {
    const error = thrownBy(act);
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_SERVICE_NAME" });
    expect(error.message).toContain(why);
  }
});
