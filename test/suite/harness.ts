import { ABSENT, type Feature, type RuntimeName } from "./features.js";

/** Options for a run. */
export interface SuiteContext {
  readonly runtime: RuntimeName;
  /** URL of the emulator, which accepts pages of all origins. */
  readonly endpoint: string;
  /** URL of the same emulator without CORS headers. */
  readonly closedEndpoint: string;
  /** URL of a proxy to the emulator that counts its connections. */
  readonly countedEndpoint: string;
  /** URL of a proxy to the emulator that ends connections before the response; see `Counterpart.die`. */
  readonly dyingEndpoint: string;
  /** URL at which the suite injects faults and reads the received requests; see `counterpart.ts`. */
  readonly control: string;
  readonly token: string;
  /** Runs only tests whose feature and name contain this text. Default: all. */
  readonly only?: string;
}

/** The result of a test. */
export interface CaseReport {
  readonly feature: Feature;
  readonly name: string;
  readonly status: "passed" | "failed" | "skipped";
  readonly milliseconds?: number;
  /** The reason for which it failed or was skipped. */
  readonly reason?: string;
}

/** The result of a run. */
export interface SuiteReport {
  readonly runtime: RuntimeName;
  readonly userAgent: string;
  readonly cases: readonly CaseReport[];
}

interface Case {
  readonly feature: Feature;
  readonly name: string;
  readonly run: (test: TestContext) => Promise<void>;
  /** Whether it tests the refusal of a missing feature. It runs only where the feature is absent. */
  readonly ofAbsence: boolean;
}

/** The context of a test. */
export interface TestContext extends SuiteContext {
  /** Closes something when the test has ended, also after a failure. */
  closing<T extends { close(): Promise<unknown> }>(closable: T): T;
  /** A signal whose listeners are counted. A listener that is left when the test has ended fails the test. */
  signal(): { readonly signal: AbortSignal; abort(reason?: unknown): void };
  /** Whether the runtime lacks a feature. */
  isAbsent(feature: Feature): boolean;
}

const cases: Case[] = [];

/** Adds a test of a feature. It is skipped where the feature is absent. */
export function test(feature: Feature, name: string, run: Case["run"]): void {
  cases.push({ feature, name, run, ofAbsence: false });
}

/** Adds a test of the error where a feature is absent. */
export function testAbsence(feature: Feature, name: string, run: Case["run"]): void {
  cases.push({ feature, name, run, ofAbsence: true });
}

/** Milliseconds after which a test counts as hung. */
const DEADLINE_MS = 60_000;

/**
 * Runs all tests, one after the other. `onStart` receives the title of each test, so that a test that crashes the
 * runtime is known.
 */
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

/** Returns the error of a failed test; undefined if it passed. */
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
  // Runtimes report unhandled rejections at the end of the turn.
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

/** An `AbortController` that counts the listeners of its signal. */
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
    // Listeners of a signal that has fired are not a leak: it fires once, and is released with its caller.
    return this.signal.aborted ? 0 : this.#listening.size;
  }

  abort(reason?: unknown): void {
    this.#controller.abort(reason);
  }
}

/** Collects unhandled rejections, by whichever of its two APIs the runtime reports them. */
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

/**
 * Collects writes to the console, which these tests should not cause. Messages of the browser itself are not
 * collected.
 */
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
