import { ABSENT, type Feature, type RuntimeName } from "./features.js";

/** What a run is told from outside. */
export interface SuiteContext {
  readonly runtime: RuntimeName;
  /** The emulator, which lets pages call. */
  readonly endpoint: string;
  /** The same emulator without a word of CORS. */
  readonly closedEndpoint: string;
  /** A way to the emulator whose connections are counted. */
  readonly countedEndpoint: string;
  /** A way to the emulator that ends connections before the response; see `Counterpart.die`. */
  readonly dyingEndpoint: string;
  /** Where the suite arranges what is to go wrong, and asks what was seen; see `counterpart.ts`. */
  readonly control: string;
  readonly token: string;
  /** Only tests whose feature and name have this in them. Default: all. */
  readonly only?: string;
}

/** What became of one test. */
export interface CaseReport {
  readonly feature: Feature;
  readonly name: string;
  readonly status: "passed" | "failed" | "skipped";
  readonly milliseconds?: number;
  /** Why it failed or was skipped. */
  readonly reason?: string;
}

/** What became of a run. */
export interface SuiteReport {
  readonly runtime: RuntimeName;
  readonly userAgent: string;
  readonly cases: readonly CaseReport[];
}

interface Case {
  readonly feature: Feature;
  readonly name: string;
  readonly run: (test: TestContext) => Promise<void>;
  /** Whether it shows how what is absent is refused: it runs only where the feature is absent. */
  readonly ofAbsence: boolean;
}

/** What a test has. */
export interface TestContext extends SuiteContext {
  /** Closes something when the test has ended, however it ended. */
  closing<T extends { close(): Promise<unknown> }>(closable: T): T;
  /** A signal whose listeners are counted: one that is left when the test has ended fails it. */
  signal(): { readonly signal: AbortSignal; abort(reason?: unknown): void };
  /** Whether the runtime cannot do something. */
  isAbsent(feature: Feature): boolean;
}

const cases: Case[] = [];

/** Adds a test of a feature; it is skipped where the feature is absent. */
export function test(feature: Feature, name: string, run: Case["run"]): void {
  cases.push({ feature, name, run, ofAbsence: false });
}

/** Adds a test of what is said where a feature is absent. */
export function testAbsence(feature: Feature, name: string, run: Case["run"]): void {
  cases.push({ feature, name, run, ofAbsence: true });
}

/** A test that has not ended by then has hung. */
const DEADLINE_MS = 60_000;

/** Runs all tests, one after the other. `onStart` hears the title of each, so that one that takes the runtime down is known. */
export async function runSuite(context: SuiteContext, onStart: (title: string) => Promise<void>): Promise<SuiteReport> {
  const leaks: string[] = [];
  watchUnhandledRejections(leaks);
  watchConsole(leaks);
  const reports: CaseReport[] = [];
  for (const { feature, name, run, ofAbsence } of cases) {
    const title = `${feature}: ${name}`;
    if (!title.includes(context.only ?? "")) continue;
    const reason = ABSENT[context.runtime][feature];
    if (ofAbsence !== (reason !== undefined)) {
      if (!ofAbsence) reports.push({ feature, name, status: "skipped", reason: reason as string });
      continue;
    }
    await onStart(title);
    const startedAt = performance.now();
    const failure = await runCase(context, run, leaks);
    const milliseconds = Math.round(performance.now() - startedAt);
    reports.push(
      failure === undefined
        ? { feature, name, status: "passed", milliseconds }
        : { feature, name, status: "failed", milliseconds, reason: failure },
    );
  }
  const { navigator } = globalThis as { navigator?: { userAgent?: string } };
  return { runtime: context.runtime, userAgent: navigator?.userAgent ?? "", cases: reports };
}

/** Undefined when it passed. */
async function runCase(context: SuiteContext, run: Case["run"], leaks: string[]): Promise<string | undefined> {
  const closables: { close(): Promise<unknown> }[] = [];
  const signals: CountedSignal[] = [];
  const test: TestContext = {
    ...context,
    closing(closable) {
      closables.push(closable);
      return closable;
    },
    signal() {
      const counted = new CountedSignal();
      signals.push(counted);
      return counted;
    },
    isAbsent: (feature) => ABSENT[context.runtime][feature] !== undefined,
  };
  let failure = await withinDeadline(run(test));
  for (const closable of closables.reverse()) failure ??= await withinDeadline(closable.close());
  // Rejections count as unhandled when the turn is over.
  await new Promise((resolve) => setTimeout(resolve));
  if (leaks.length > 0) failure ??= leaks.join("; ");
  leaks.length = 0;
  const left = signals.reduce((sum, { listeners }) => sum + listeners, 0);
  if (left > 0) failure ??= `${left} listeners were left on the caller's signal`;
  return failure;
}

async function withinDeadline(work: Promise<unknown>): Promise<string | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`did not end within ${DEADLINE_MS} ms`)), DEADLINE_MS);
  });
  try {
    await Promise.race([work, late]);
    return undefined;
  } catch (error) {
    return textOf(error);
  } finally {
    clearTimeout(timer);
  }
}

/** An `AbortController` that knows how many listen. */
class CountedSignal {
  readonly #controller = new AbortController();
  readonly #listening = new Set<unknown>();

  constructor() {
    const { signal } = this.#controller;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      this.#listening.add(args[1]);
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      this.#listening.delete(args[1]);
      removeEventListener.apply(signal, args);
    };
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get listeners(): number {
    // Those of a signal that has fired are no leak: it fires once, and goes with its caller.
    return this.signal.aborted ? 0 : this.#listening.size;
  }

  abort(reason?: unknown): void {
    this.#controller.abort(reason);
  }
}

/** Adds the rejections that nobody handles, as they come, by whichever of its two ways the runtime tells them. */
function watchUnhandledRejections(leaks: string[]): void {
  const add = (reason: unknown) => leaks.push(`a rejection that nobody handled: ${textOf(reason)}`);
  const { process, addEventListener } = globalThis as {
    process?: { on?: (name: "unhandledRejection", listener: (reason: unknown) => void) => void };
    addEventListener?: (name: "unhandledrejection", listener: (event: UnhandledRejection) => void) => void;
  };
  if (process?.on) process.on("unhandledRejection", add);
  else {
    addEventListener?.("unhandledrejection", (event) => {
      event.preventDefault();
      add(event.reason);
    });
  }
}

/** Adds what is written to the console: these tests give no reason to. What a browser itself says there is not heard. */
function watchConsole(leaks: string[]): void {
  for (const level of ["log", "info", "warn", "error"] as const) {
    console[level] = (...words: unknown[]) => leaks.push(`console.${level}: ${words.map(textOf).join(" ")}`);
  }
}

interface UnhandledRejection {
  readonly reason: unknown;
  preventDefault(): void;
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { actual, expected } = error as { actual?: unknown; expected?: unknown };
  const compared = expected === undefined ? "" : `\n  expected ${inWords(expected)}\n  actual   ${inWords(actual)}`;
  return `${error.name}: ${error.message}${compared}\n${(error.stack ?? "").split("\n").slice(0, 12).join("\n")}`;
}

function inWords(value: unknown): string {
  const text =
    JSON.stringify(value, (_key, inner) => (typeof inner === "bigint" ? `${inner}n` : inner)) ?? String(value);
  return text.slice(0, 500);
}
