// `npm run test:package`: packs the tarball, installs it in folders outside this repository, and uses it as consumers
// do. `npm run test:package -- --update` rewrites the list of the tarball's files.
import { readFileSync } from "node:fs";
import { bundlerConsumers } from "./bundler-consumers.mjs";
import { commandLineConsumers } from "./command-line-consumers.mjs";
import { installTools } from "./install.mjs";
import { nodeConsumers } from "./node-consumers.mjs";
import { peerConsumers } from "./peer-consumers.mjs";
import { Report } from "./report.mjs";
import { areTheTypesWrong, checkFiles, checkSourceMaps, describeSize, pack, publint } from "./tarball.mjs";
import { typeScriptConsumers } from "./typescript-consumers.mjs";
import { installTarball, temporaryFolder } from "./workspace.mjs";

installTools();
const report = new Report();
const folder = temporaryFolder();
const tarball = await pack(folder);
const installed = await installTarball(folder, tarball.path);
const manifest = JSON.parse(readFileSync(`${installed}/package.json`, "utf8"));

await report.check("tarball", "holds the files that are listed", () =>
  checkFiles(tarball, process.argv.includes("--update")),
);
await report.check("tarball", "size", () => describeSize(tarball));
await report.check("tarball", "source maps name no path of a machine", () => checkSourceMaps(installed));
await report.check("publint", "strict", () => publint(tarball));
await report.check("are the types wrong", "every entry, every resolution", () =>
  areTheTypesWrong(tarball, Object.keys(manifest.exports)),
);
await nodeConsumers(report, folder, manifest);
await commandLineConsumers(report, folder, manifest);
await bundlerConsumers(report, folder, installed);
await typeScriptConsumers(report, folder);
// Last, because the other consumers must not have the optional peers.
await peerConsumers(report, folder);

if (!report.close()) process.exitCode = 1;
