// Memory of the current process, as Linux counts it.

import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");

/** Collects all garbage. Twice, because the second run frees what finalizers release. */
export function collectAll() {
  gc();
  gc();
}

/** Returns the resident bytes. */
export const resident = () => bytesOf("VmRSS");

/** Returns the peak of resident bytes since `resetPeak`. */
export const peakResident = () => bytesOf("VmHWM");

/** Resets the peak. If the kernel refuses that, the peak counts from the start of the process. */
export function resetPeak() {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {}
}

/** Returns the bytes of all objects and buffers. */
export function heapBytes() {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The process is at rest if its memory stayed within this range for this many samples. */
const STILL = { bytes: 128 * 1024, looks: 5, pause: 60, most: 60 };

/**
 * Waits until the process is at rest. After the first calls, the engine compiles in the background, mostly undici's
 * WebAssembly. That takes up to 30 MB for half a second.
 */
export async function atRest() {
  let last = resident();
  for (let still = 0, looks = 0; still < STILL.looks && looks < STILL.most; looks++) {
    await delay(STILL.pause);
    const now = resident();
    still = Math.abs(now - last) <= STILL.bytes ? still + 1 : 0;
    last = now;
  }
}

function bytesOf(name) {
  const status = readFileSync("/proc/self/status", "latin1");
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)[1]) * 1024;
}
