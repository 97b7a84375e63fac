import { describe, expect, test } from "vitest";
import { certificateFindings } from "../../../../src/cli/doctor/connection.js";

const certificate = {
  valid_from: "Jan  1 00:00:00 2026 GMT",
  valid_to: "Apr  1 00:00:00 2026 GMT",
  subject: { CN: "eas.example.com" } as never,
  subjectaltname: "DNS:eas.example.com",
};

describe("certificateFindings", () => {
  test.each([
    ["2025-12-31", ["tls-not-yet-valid"]],
    ["2026-02-01", []],
    ["2026-03-20", ["tls-expires-soon"]],
    ["2026-04-02", ["tls-expired"]],
  ])("examines the dates of a certificate on %s", (date, ids) => {
    const facts = { host: "eas.example.com", certificate, authorizationError: undefined, now: Date.parse(date) };
    expect(certificateFindings(facts).map(({ id }) => id)).toEqual(ids);
  });

  test("reports a wrong host and an unknown authority of an expired certificate as well", () => {
    const facts = {
      host: "127.0.0.1",
      certificate,
      authorizationError: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      now: Date.parse("2026-06-01"),
    };
    const ids = certificateFindings(facts).map(({ id }) => id);
    expect(ids).toEqual(["tls-expired", "tls-wrong-host", "tls-untrusted"]);
  });
});
