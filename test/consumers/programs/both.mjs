// A process that loads the package twice, with `import` and `require`. Each copy accepts objects of the other.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import * as imported from "eas-prediction";
import { createEmulator } from "eas-prediction/emulator/memory";

const required = createRequire(import.meta.url)("eas-prediction");
assert.notEqual(imported.EasError, required.EasError);
assert.deepEqual(Object.keys(required).sort(), Object.keys(imported).sort());

const emulator = createEmulator();
for (const [maker, other] of [
  [imported, required],
  [required, imported],
]) {
  const options = { endpoint: "http://emulator", serviceName: "echo", token: emulator.token, retryCount: 0 };
  const client = new maker.PredictClient({ ...options, transport: emulator.transport });
  // A request object of the other format.
  assert.equal(String(await client.predict(new other.StringRequest("text"))), "text");
  const error = await client
    .service("missing")
    .predict("x")
    .catch((reason) => reason);
  assert.equal(error.constructor, maker.EasHttpError);
  assert.ok(other.isEasError(error));
  assert.ok(error instanceof other.EasError);
  assert.ok(error instanceof other.EasHttpError);
  assert.ok(!(error instanceof other.EasTimeoutError));
}
console.log(process.version);
