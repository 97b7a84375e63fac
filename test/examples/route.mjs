// Checks the two server examples: `POST {"pixels": […]}` returns the digit.
import { deepEqual, equal, ok } from "node:assert/strict";

/**
 * Calls the route with valid and invalid requests, and with a failing gateway. Returns the response to the valid
 * request.
 */
export async function checkRoute(url, emulator) {
  const { heldOutDigits } = await import("../../dist/emulator.js");
  const digits = [];
  for (const index of [3, 27, 101]) {
    const before = emulator.requests.length;
    const { status, answer } = await post(url, { pixels: heldOutDigits.images[index] });
    equal(status, 200, JSON.stringify(answer));
    equal(answer.digit, heldOutDigits.labels[index]);
    equal(answer.probabilities.length, 10);
    ok(Math.abs(answer.probabilities.reduce((sum, each) => sum + each) - 1) < 1e-5);
    deepEqual(
      emulator.requests.slice(before).map(({ service, status }) => `${service} ${status}`),
      ["digits 200"],
    );
    digits.push(answer.digit);
  }
  for (const body of [{ pixels: [1, 2, 3] }, { pixels: Array(64).fill("1") }, {}, undefined]) {
    const before = emulator.requests.length;
    const { status, answer } = await post(url, body);
    equal(status, 400);
    deepEqual(Object.keys(answer), ["error"]);
    equal(emulator.requests.length, before);
  }
  emulator.fault({ status: 401, body: "authorization failed" });
  const { status, answer } = await post(url, { pixels: heldOutDigits.images[0] });
  deepEqual([status, answer], [502, { error: "ERR_EAS_HTTP" }]);
  return `images of ${digits.join(", ")} classified; 400 for bad input, 502 if the gateway refuses`;
}

async function post(url, body) {
  const response = await fetch(url, { method: "POST", body: body === undefined ? "no JSON" : JSON.stringify(body) });
  return { status: response.status, answer: await response.json() };
}
