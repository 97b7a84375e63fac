// Compiles programs with each compiler, in strict mode, with the declarations of all packages and each module
// resolution.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { tool } from "./install.mjs";
import { run } from "./run-command.mjs";
import { project } from "./workspace.mjs";

const VERSIONS = ["5.4", "5.7", "5.9", "6.0", "7.0"];

/** Compiler options by `moduleResolution`, and the file names of the program, which decide its format. */
const RESOLUTIONS = {
  node16: {
    module: "node16",
    programs: { "types.mts": "types.ts", "types.cts": "types.ts" },
    formats: "ESM and CommonJS",
  },
  nodenext: {
    module: "nodenext",
    programs: { "types.mts": "types.ts", "types.cts": "types.ts" },
    formats: "ESM and CommonJS",
  },
  bundler: {
    module: "preserve",
    programs: { "types.ts": "types.ts", "required.cts": "required.cts" },
    formats: "ESM and require",
  },
  // The meaning of `module: commonjs` before TypeScript 6. TypeScript 7 does not have it.
  node10: {
    module: "commonjs",
    programs: { "types.ts": "types.ts" },
    formats: "CommonJS",
    type: "commonjs",
    until: "6.0",
  },
};

const LIBRARIES = {
  "types of Node": { lib: ["ES2022"], types: ["node"] },
  "types of the DOM": { lib: ["ES2022", "DOM"], types: [] },
};

/**
 * Types that declarations need and neither ES2022 nor this package contains. Consumers without them must skip the
 * declarations.
 */
const WEB_NAMES = ["AbortSignal", "Blob", "Headers", "Request", "RequestInit", "Response", "URL"];

/** The declarations of the dependency @bufbuild/protobuf do not compile before TypeScript 5.7. */
const FAULTS_OF_PROTOBUF = /^.*node_modules\/@bufbuild\/protobuf\/.*error TS2315: Type 'Uint8Array' is not generic\.$/;

/** Compiles every program, one per processor at a time. */
export async function typeScriptConsumers(report, folder) {
  const checks = VERSIONS.flatMap((version) => [
    ...Object.entries(RESOLUTIONS)
      .filter(([, { until }]) => until === undefined || version <= until)
      .flatMap(([resolution, { formats }]) =>
        Object.keys(LIBRARIES).map(
          (library) => () =>
            report.check(`TypeScript ${version}`, `${resolution}, ${formats}, ${library}`, () =>
              compile(folder, version, resolution, library),
            ),
        ),
      ),
    () =>
      report.check(`TypeScript ${version}`, "no types of the web: skipLibCheck", () => compileWithout(folder, version)),
  ]);
  await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
      for (let check = checks.shift(); check; check = checks.shift()) await check();
    }),
  );
}

/** Compiles a program with each compiler and each module resolution. */
export async function compileEverywhere(report, folder, source, foreign = /(?!)/) {
  for (const version of VERSIONS) {
    for (const [resolution, { until, formats, programs }] of Object.entries(RESOLUTIONS)) {
      if (until !== undefined && version > until) continue;
      const own = Object.entries(programs).filter(([, each]) => each === "types.ts");
      const named = Object.fromEntries(own.map(([name]) => [name.replace("types", source.split(".")[0]), source]));
      await report.check(`TypeScript ${version}`, `${source}: ${resolution}, ${formats}`, () =>
        compile(folder, version, resolution, "types of Node", named, foreign),
      );
    }
  }
}

async function compile(
  folder,
  version,
  resolution,
  library,
  programs = RESOLUTIONS[resolution].programs,
  foreign = /(?!)/,
) {
  const { module, type } = RESOLUTIONS[resolution];
  const [first] = Object.keys(programs);
  const path = project(folder, `typescript-${version}-${resolution}-${library.replaceAll(" ", "-")}-${first}`, {
    type,
    programs,
    packages: LIBRARIES[library].types.length > 0 ? ["@types/node", "undici-types"] : [],
  });
  const errors = await tsc(path, version, Object.keys(programs), {
    ...LIBRARIES[library],
    module,
    moduleResolution: resolution,
    ...(resolution === "node10" && version === "6.0" && { ignoreDeprecations: "6.0" }),
  });
  const ours = errors.filter((line) => !foreign.test(line));
  const own = ours.filter((line) => !(version < "5.7" && FAULTS_OF_PROTOBUF.test(line)));
  assert.equal(own.join("\n"), "");
  return ours.length > 0 ? `${ours.length} errors in @bufbuild/protobuf, which needs TypeScript 5.7` : "";
}

async function compileWithout(folder, version) {
  const programs = ["without-web-types.ts"];
  const path = project(folder, `typescript-${version}-without`, { programs: { [programs[0]]: programs[0] } });
  const options = { lib: ["ES2022"], types: [], module: "nodenext" };
  assert.deepEqual(await tsc(path, version, programs, { ...options, skipLibCheck: true }), []);
  const missing = (await tsc(path, version, programs, options)).filter((line) => !FAULTS_OF_PROTOBUF.test(line));
  const names = missing.map((line) => /error TS2304: Cannot find name '(\w+)'\.$/.exec(line)?.[1] ?? line);
  assert.deepEqual([...new Set(names)].sort(), WEB_NAMES);
  return `without it: no ${WEB_NAMES.join(", ")}`;
}

/** Returns the error lines of the compiler. */
async function tsc(path, version, files, options) {
  const compilerOptions = { strict: true, noEmit: true, target: "ES2022", skipLibCheck: false, ...options };
  writeFileSync(join(path, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
  const command = [tool(`typescript-${version}/bin/tsc`), "--project", path, "--pretty", "false"];
  return run(process.execPath, command, { cwd: path }).then(
    () => [],
    ({ stdout, message }) => {
      // A compiler that does not start prints no error lines.
      if (!stdout?.includes("error TS")) throw new Error(message);
      return stdout.trim().split("\n");
    },
  );
}
