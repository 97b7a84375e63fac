const { create } = require("@bufbuild/protobuf");
const manifest = require("eas-prediction/package.json");

/** No module, and what needs an optional peer that is not here. */
const APART = ["./package.json", "./opentelemetry", "./ai"];
const entries = {};
for (const name of Object.keys(manifest.exports)) {
  if (!APART.includes(name)) entries[name] = require(`eas-prediction${name.slice(1)}`);
}
import("./node-checks.mjs").then(async ({ checkEntries }) => {
  await checkEntries(entries, create);
  console.log(process.version);
});
