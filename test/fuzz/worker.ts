import { parentPort, workerData } from "node:worker_threads";
import { isEasError } from "../../src/errors.js";
import { countAllocations, takeCounted } from "./allocations.js";
import type { Bytes, Decoder } from "./decoder.js";
import { DECODERS } from "./decoders.js";
import { repeatable, superLinear } from "./growth.js";
import { Mutator, smaller } from "./mutator.js";

const { settings, shared } = workerData as {
  settings: { runs: number; seed: number; only: readonly string[]; run: number | undefined };
  shared: SharedArrayBuffer;
};
const state = new Int32Array(shared, 0, 2);
const kept = new Uint8Array(shared, 8);

/** Bytes of memory per byte of input: an int64 of one byte takes eight, and several accessors read it. */
const MEMORY_PER_BYTE = 100;
/** Bytes that any decoder may allocate for its tables and first buffers. */
const MEMORY_FOR_NOTHING = 1 << 18;
/** Maximum number of failures shown per decoder. */
const MAX_FAILURES = 5;

type Outcome = "read" | "refused";

/** Reads an input. Returns the kind of result, or throws if the decoder is at fault. */
async function outcomeOf(decoder: Decoder, input: Bytes): Promise<Outcome> {
  state[1] = input.length;
  kept.set(input.subarray(0, kept.length));
  Atomics.add(state, 0, 1);
  takeCounted();
  let outcome: Outcome = "read";
  try {
    await decoder.decode(input);
  } catch (error) {
    if (!isTyped(error)) throw error;
    outcome = "refused";
  }
  const taken = takeCounted();
  const most = MEMORY_FOR_NOTHING + input.length * MEMORY_PER_BYTE + (decoder.limit ?? 0);
  if (taken > most) throw new Error(`allocates ${taken} bytes of memory: the limit is ${most}`);
  return outcome;
}

function isTyped(error: unknown): boolean {
  if (isEasError(error)) return error.code === "ERR_EAS_DECODE";
  const { code } = error as { code?: unknown };
  const isArgument = error instanceof TypeError || error instanceof RangeError;
  return isArgument && typeof code === "string" && code.startsWith("ERR_EAS_ARG_");
}

const say = (message: { name?: string; line?: string; failed?: boolean }) => parentPort?.postMessage(message);

async function fuzz(decoder: Decoder): Promise<void> {
  const startedAt = performance.now();
  const mutator = new Mutator(decoder, settings.seed);
  const counts: Record<Outcome, number> = { read: 0, refused: 0 };
  const failures = new Map<string, string>();
  const fail = (what: string, how: string) => void failures.set(what, how);

  for (const [i, sample] of mutator.samples.entries()) {
    try {
      if ((await outcomeOf(decoder, sample.slice())) !== "read") throw new Error("it was refused");
    } catch (error) {
      fail(`sample ${i}: ${messageOf(error)}`, hexOf(sample));
    }
  }
  const { run: only, runs } = settings;
  for (let run = only ?? 0; run < (only === undefined ? runs : only + 1) && failures.size < MAX_FAILURES; run++) {
    const input = mutator.input(run);
    try {
      counts[await outcomeOf(decoder, input.slice())]++;
    } catch (error) {
      const what = messageOf(error);
      if (failures.has(what)) continue;
      const least = await smaller(input, async (input) => (await messageFor(decoder, input)) === what);
      fail(what, `run ${run}, of ${least.length} bytes: ${hexOf(least)}`);
    }
  }
  for (const make of repeatable(decoder, mutator.samples)) {
    if (failures.size >= MAX_FAILURES) break;
    try {
      const found = await superLinear((input) => outcomeOf(decoder, input).then(() => {}), make);
      if (found !== undefined) fail(`time is not linear: ${found}`, hexOf(make(1)));
    } catch (error) {
      fail(messageOf(error), `repeated: ${hexOf(make(1))}`);
    }
  }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const done = `${counts.read} read, ${counts.refused} refused, ${seconds} s`;
  say({ line: `${failures.size === 0 ? "ok  " : "FAIL"} ${decoder.name}: ${done}`, failed: failures.size > 0 });
  for (const [what, how] of failures) say({ line: `     ${what}\n     ${how}` });
}

async function messageFor(decoder: Decoder, input: Bytes): Promise<string | undefined> {
  try {
    await outcomeOf(decoder, input.slice());
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** Numbers are replaced, because they differ between inputs with the same fault. */
function messageOf(error: unknown): string {
  const place = error instanceof Error ? error.stack?.split("\n").find((line) => line.includes(" at ")) : undefined;
  return `${String(error).slice(0, 200).replace(/\d+/g, "N")} (${place?.trim().replace(/\(.*\/|\)/g, "") ?? ""})`;
}

function hexOf(bytes: Bytes): string {
  return `${Buffer.from(bytes.subarray(0, 200)).toString("hex")}${bytes.length > 200 ? "…" : ""}`;
}

countAllocations();
const chosen = DECODERS.filter(({ name }) => settings.only.length === 0 || settings.only.includes(name));
if (chosen.length === 0)
  throw new Error(`unknown decoder. The decoders are ${DECODERS.map(({ name }) => name).join(", ")}`);
for (const decoder of chosen) {
  say({ name: decoder.name });
  await fuzz(decoder);
}
say({ line: `${chosen.length} decoders, seed ${settings.seed}` });
