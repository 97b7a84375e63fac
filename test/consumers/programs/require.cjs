const { create } = require("@bufbuild/protobuf");
const manifest = require("eas-prediction/package.json");

/** Exports that are not modules, or need an optional peer that is not installed. */
const APART = ["./package.json", "./opentelemetry", "./ai"];
const entries = {};
for (const name of Object.keys(manifest.exports)) {
  if (!APART.includes(name)) entries[name] = require(`eas-prediction${name.slice(1)}`);
}
import("./node-checks.mjs").then(async ({ checkEntries }) => {
  await checkEntries(entries, create);
  console.log(process.version);
});
