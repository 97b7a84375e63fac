import { expect, expectTypeOf, test } from "vitest";
import { createEmulator } from "../../../src/emulator/index.js";
import {
  type AnyEasError,
  EasHttpError,
  type EasModelError,
  EasTimeoutError,
  isEasError,
  PredictClient,
} from "../../../src/index.js";
import { errorOf } from "../../support/calls.js";

async function refusedCall(body: string): Promise<EasHttpError> {
  const emulator = createEmulator();
  const client = new PredictClient({
    endpoint: "h",
    serviceName: "echo",
    token: emulator.token,
    transport: emulator.transport,
  });
  emulator.fault({ status: 400, body, headers: { "x-request-id": "r-1" } });
  return (await errorOf(client.predict("x"))) as unknown as EasHttpError;
}

test("JSON.stringify shows message, code, status, attempts and the body as text", async () => {
  const error = await refusedCall("no such input: é");
  expect(JSON.parse(JSON.stringify(error))).toMatchObject({
    name: "EasHttpError",
    code: "ERR_EAS_HTTP",
    message: error.message,
    status: 400,
    attempts: 1,
    retryable: false,
    text: "no such input: é",
  });
  expect(JSON.parse(JSON.stringify(error))).not.toHaveProperty("body");
  expect(JSON.parse(JSON.stringify({ nested: [error] })).nested[0].code).toBe("ERR_EAS_HTTP");
});

test("JSON.stringify truncates the text to 1,000 characters, and error.text is complete", async () => {
  const error = await refusedCall("x".repeat(5000));
  expect(JSON.parse(JSON.stringify(error)).text).toHaveLength(1000);
  expect(error.text).toHaveLength(5000);
});

test("JSON.stringify omits the text of an error without a body", () => {
  const error = new EasTimeoutError("too late", { phase: "total", timeout: 5, attempts: 2 });
  expect(JSON.parse(JSON.stringify(error))).toEqual({
    name: "EasTimeoutError",
    message: "too late",
    code: "ERR_EAS_TIMEOUT",
    attempts: 2,
    retryable: false,
    maybeAccepted: false,
    maybeTaken: false,
    phase: "total",
    timeout: 5,
  });
});

test("isEasError narrows to a union, and its code to a class", () => {
  const error: unknown = new EasHttpError("refused", {
    status: 404,
    headers: new Headers(),
    body: new Uint8Array(0),
    hint: "",
  });
  if (!isEasError(error)) throw new Error("isEasError failed");
  expectTypeOf(error).toEqualTypeOf<AnyEasError>();
  let shown: string | number = "";
  switch (error.code) {
    case "ERR_EAS_HTTP":
      expectTypeOf(error).toEqualTypeOf<EasHttpError>();
      shown = error.status;
      break;
    case "ERR_EAS_MODEL":
      expectTypeOf(error).toEqualTypeOf<EasModelError>();
      shown = error.text;
      break;
    case "ERR_EAS_CLOSED":
      shown = error.message;
      break;
  }
  expect(shown).toBe(404);
});
