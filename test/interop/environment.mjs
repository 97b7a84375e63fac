// The virtual environments that the official Python packages are installed in. Each is created once, and recreated when its
// requirements or the Python that it is made with change.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

/** Maximum duration of one step, so that a registry that does not respond fails the run instead of blocking it. */
const STEP_MS = 300_000;

/**
 * Installed with alipai's own requirements except these. pyodps is a client of another service, is never imported by the
 * predictors, and brings pyarrow: 200 of 400 MB.
 */
const LEFT_OUT_OF_ALIPAI = ["pyodps"];

/** The path of a Python that has the `eas-prediction` package. `fresh` reinstalls it, to get the latest version. */
export function pythonWithSdk(fresh) {
  return pythonOf(".venv", "requirements.txt", fresh, () => {});
}

/** The path of a Python that has the packages `alipai` and `openai`. */
export function pythonWithAlipai(fresh) {
  return pythonOf(".venv-alipai", "requirements-alipai.txt", fresh, (python, install) => {
    install("--no-deps", "alipai");
    const list = "import importlib.metadata, json; print(json.dumps(importlib.metadata.requires('alipai')))";
    const required = JSON.parse(run(python, ["-c", list], "alipai must say what it requires"));
    const isOptional = (requirement) => /;.*\bextra\b/.test(requirement);
    const isLeftOut = (requirement) => LEFT_OUT_OF_ALIPAI.includes(requirement.match(/^[\w.-]+/)?.[0].toLowerCase());
    const needed = required.filter((requirement) => !isOptional(requirement) && !isLeftOut(requirement));
    console.log(`installing alipai's requirements without ${LEFT_OUT_OF_ALIPAI.join(", ")}`);
    install(...needed);
  });
}

/** Installs `requirements` in the environment `name` and then lets `more` install packages. Returns the path of its Python. */
function pythonOf(name, requirements, fresh, more) {
  const folder = fileURLToPath(new URL(name, import.meta.url));
  const file = fileURLToPath(new URL(requirements, import.meta.url));
  const stamp = `${folder}/interop.json`;
  const python = process.platform === "win32" ? `${folder}/Scripts/python.exe` : `${folder}/bin/python`;
  const base = process.env.EAS_INTEROP_PYTHON ?? "python3";
  const wanted = {
    python: run(base, ["--version"], "Python 3 is needed; EAS_INTEROP_PYTHON may say where it is"),
    requirements: readFileSync(file, "utf8"),
  };
  const { installed, made } = existsSync(stamp) ? JSON.parse(readFileSync(stamp, "utf8")) : {};
  if (!fresh && existsSync(python) && isDeepStrictEqual(made, wanted)) {
    console.log(`${name} of ${installed}: \`npm run test:interop -- --fresh\` reinstalls the latest versions`);
    return python;
  }
  console.log(`creating ${name} with the latest versions`);
  rmSync(folder, { recursive: true, force: true });
  run(base, ["-m", "venv", folder], "the module venv is needed (on Debian the package python3-venv)");
  const pip = ["-m", "pip", "--disable-pip-version-check", "--no-input"];
  const install = (...args) =>
    run(
      python,
      [...pip, "install", "--quiet", "--timeout", "30", ...args],
      "the Python registry must be reachable by pip",
    );
  install("--requirement", file);
  more(python, install);
  const versions = run(python, [...pip, "freeze"], "pip could not list what it installed");
  // Written last, so that an environment whose creation was interrupted is recreated.
  writeFileSync(
    stamp,
    JSON.stringify({ made: wanted, installed: new Date().toISOString(), versions: versions.split("\n") }),
  );
  return python;
}

function run(command, args, need) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: STEP_MS });
  if (status === 0) return stdout.trim();
  const why = error?.message ?? `${stdout}${stderr}`.trim();
  throw new Error(
    `the interop test cannot run: \`${[command, ...args].join(" ")}\` failed: ${why}\n${need}. EAS_INTEROP=skip leaves this test out.`,
  );
}
