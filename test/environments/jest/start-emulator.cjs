// For environments that cannot run a server, the emulator runs in the process of the runner.
const { EMULATOR } = require("../cases.cjs");

module.exports = async () => {
  const { startEmulator } = require("eas-prediction/emulator");
  const { endpoint, token, close } = await startEmulator(EMULATOR);
  Object.assign(process.env, { EAS_EMULATOR_ENDPOINT: endpoint, EAS_EMULATOR_TOKEN: token });
  globalThis.closeEmulator = close;
};
