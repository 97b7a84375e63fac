const { create } = require("@bufbuild/protobuf");
const manifest = require("eas-prediction/package.json");

const entries = {};
for (const name of Object.keys(manifest.exports)) {
  if (name !== "./package.json") entries[name] = require(`eas-prediction${name.slice(1)}`);
}
import("./node-checks.mjs").then(async ({ checkEntries }) => {
  await checkEntries(entries, create);
  console.log(process.version);
});
