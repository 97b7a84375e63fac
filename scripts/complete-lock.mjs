// Adds optional packages for other platforms to package-lock.json. npm leaves them out of the lock if the registry in
// use lacks them, and `npm ci` then refuses the lock. Run it after `npm install` has changed the lock. The argument is
// the folder of the lock, by default ".".
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FILE = join(process.argv[2] ?? ".", "package-lock.json");
const lock = JSON.parse(readFileSync(FILE, "utf8"));
const NAMES = ["android", "darwin", "linux", "win32", "freebsd", "openbsd", "netbsd", "sunos", "aix", "openharmony"];
const OS = { ...Object.fromEntries(NAMES.map((name) => [name, name])), windows: "win32" };
const CPU = { aarch64: "arm64", armv7: "arm", ia32: "ia32", x64: "x64", 64: "x64", arm64: "arm64", arm: "arm" };

let added = 0;
for (const [path, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    if (lock.packages[`${path}/node_modules/${name}`] || lock.packages[`node_modules/${name}`]) continue;
    const words = name.split(/[/-]/);
    const os = words.find((word) => word in OS);
    const cpu = words.findLast((word) => word in CPU || /^(loong64|ppc64|riscv64|s390x|mips64el|wasm32)$/.test(word));
    const libc = words.some((word) => word.startsWith("musl"))
      ? "musl"
      : words.some((word) => word.startsWith("gnu"))
        ? "glibc"
        : undefined;
    if (!os) throw new Error(`${name}: no platform in its name`);
    lock.packages[`node_modules/${name}`] = {
      // The lowest version of a range such as "^0.1.0", because a lock contains no ranges.
      version: version.replace(/^[~^]/, ""),
      ...(cpu && { cpu: [CPU[cpu] ?? cpu] }),
      ...(dev && { dev }),
      ...(libc && { libc: [libc] }),
      optional: true,
      os: [OS[os]],
    };
    added++;
  }
}
const sorted = Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1));
writeFileSync(FILE, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
console.log(`${added} packages of other platforms added to ${FILE}`);
