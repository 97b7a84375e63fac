// What the process that asks has of memory, as Linux counts it.

import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");

/** Collects all garbage. Twice: what a finalizer lets go of is freed by the second. */
export function collectAll() {
  gc();
  gc();
}

/** Bytes in memory now. */
export const resident = () => bytesOf("VmRSS");

/** The most bytes that were in memory since `resetPeak`. */
export const peakResident = () => bytesOf("VmHWM");

/** Lets the peak begin anew; where the kernel refuses that, it counts from the process's start, and never too little. */
export function resetPeak() {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {}
}

/** Bytes of all objects, with the memory of buffers. */
export function heapBytes() {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** A state that has not changed by more than this in so many looks, with such pauses, is one of rest. */
const STILL = { bytes: 128 * 1024, looks: 5, pause: 60, most: 60 };

/**
 * Waits until the process is at rest. After the first calls the engine compiles on threads of its own, undici's WebAssembly
 * above all, which takes up to 30 MB for half a second (none with `--liftoff-only`, where it does not).
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
