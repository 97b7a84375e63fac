// Finds and installs the system's browsers.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";

/** By browser: Debian's packages, and the programs that show that it is installed. */
const BROWSERS = {
  chromium: {
    packages: ["chromium"],
    programs: { chromium: () => firstOf("/usr/bin/chromium") },
  },
  firefox: {
    packages: ["firefox-esr"],
    programs: { firefox: () => firstOf("/usr/bin/firefox-esr", "/usr/bin/firefox") },
  },
  webkit: {
    packages: ["webkit2gtk-driver", "xvfb", "xauth"],
    programs: {
      driver: () => firstOf("/usr/bin/WebKitWebDriver"),
      miniBrowser: findMiniBrowser,
      xvfb: () => firstOf("/usr/bin/Xvfb"),
      xauth: () => firstOf("/usr/bin/xauth"),
      xvfbRun: () => firstOf("/usr/bin/xvfb-run"),
    },
  },
};

/** Names of all browsers that the suite runs in. */
export const BROWSER_NAMES = Object.keys(BROWSERS);

/** Returns paths of a browser's programs by name; undefined for a missing program. */
export function programsOf(browser) {
  return Object.fromEntries(Object.entries(BROWSERS[browser].programs).map(([name, find]) => [name, find()]));
}

/** Installs the missing packages of these browsers. Throws with the names of the packages if that fails. */
export function installBrowsers(browsers) {
  const missing = browsers.filter((browser) => !isThere(browser));
  if (missing.length === 0) return;
  const packages = missing.flatMap((browser) => BROWSERS[browser].packages);
  const advice = `${missing.join(", ")} missing: install ${packages.join(" ")} (Debian's names) and run again`;
  if (process.getuid?.() !== 0 || firstOf("/usr/bin/apt-get") === undefined) {
    throw new Error(`${advice}. This script installs them only as root, with apt-get.`);
  }
  // Outdated package lists name versions that the mirror no longer has.
  for (const args of [["update"], ["install", "-y", "--no-install-recommends", ...packages]]) {
    console.log(`> apt-get ${args.join(" ")}`);
    const { status, stdout, stderr, error } = spawnSync("apt-get", ["-q", ...args], {
      encoding: "utf8",
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      timeout: 600_000,
    });
    if (status !== 0) {
      const said = [stdout, stderr, error?.message].filter(Boolean).join("\n").slice(-2000);
      throw new Error(`apt-get ${args[0]} failed. ${advice}.\n${said}`);
    }
  }
  const stillMissing = browsers.filter((browser) => !isThere(browser));
  if (stillMissing.length > 0) {
    throw new Error(
      `${stillMissing.join(", ")} cannot be found at Debian's paths after the installation of ${packages}`,
    );
  }
}

function isThere(browser) {
  return Object.values(programsOf(browser)).every((path) => path !== undefined);
}

function firstOf(...paths) {
  return paths.find((path) => existsSync(path));
}

/** WebKitGTK's MiniBrowser, in a folder named after machine and version. */
function findMiniBrowser() {
  for (const machine of ["x86_64-linux-gnu", "aarch64-linux-gnu"]) {
    const folder = `/usr/lib/${machine}`;
    if (!existsSync(folder)) continue;
    const versions = readdirSync(folder).filter((name) => name.startsWith("webkit2gtk-"));
    const found = firstOf(
      ...versions
        .sort()
        .reverse()
        .map((name) => `${folder}/${name}/MiniBrowser`),
    );
    if (found) return found;
  }
  return undefined;
}
