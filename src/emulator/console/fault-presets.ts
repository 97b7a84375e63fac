import type { Emulator } from "../emulator.js";
import type { Fault } from "../faults.js";
import type { ConsoleFault, ConsoleState } from "./protocol.js";

interface FaultPreset extends ConsoleFault {
  readonly fault: Fault;
}

const PRESETS: readonly FaultPreset[] = [
  {
    id: "delay",
    label: "Slow: 2 seconds",
    description: "Each response is delayed by 2 seconds.",
    fault: { delay: 2000 },
  },
  {
    id: "busy",
    label: "429 Too Many Requests",
    description: "The gateway limits the rate. Clients wait and retry.",
    fault: { status: 429, headers: { "retry-after": "1" } },
  },
  {
    id: "full",
    label: "450 Queue full",
    description: "The request queue of the service is full. The connection is closed, as on EAS.",
    fault: { status: 450 },
  },
  {
    id: "unavailable",
    label: "503 Unavailable",
    description: "The service has no ready instance.",
    fault: { status: 503, body: "no healthy upstream" },
  },
  {
    id: "reset",
    label: "Reset before the response",
    description: "The connection is reset before the response headers.",
    fault: { reset: "before-headers" },
  },
  {
    id: "cut",
    label: "Reset within the response",
    description: "The connection is reset in the middle of the body.",
    fault: { reset: "in-body" },
  },
  {
    id: "stall",
    label: "Stall within the response",
    description: "The response stops in the middle of the body, and the connection stays open.",
    fault: { stall: "in-body" },
  },
];

/** The switches for faults. A fault that is switched on applies to every request until it is switched off. */
export class FaultSwitches {
  readonly #emulator: Emulator;
  #active: { readonly id: string; readonly service: string | null; readonly fault: Fault }[] = [];

  constructor(emulator: Emulator) {
    this.#emulator = emulator;
  }

  /** Switches a fault on or off. Returns false for an unknown fault. */
  set(id: string, service: string | null, on: boolean): boolean {
    const preset = PRESETS.find((preset) => preset.id === id);
    if (preset === undefined) return false;
    const { faults } = this.#emulator.internals;
    for (const active of this.#active) {
      if (active.id === id && active.service === service) faults.remove(active.fault);
    }
    if (on) {
      const fault = { ...preset.fault, times: Number.POSITIVE_INFINITY, ...(service !== null && { service }) };
      faults.add(fault);
      this.#active.push({ id, service, fault });
    }
    return true;
  }

  /** Returns the switches and the faults that are on. `reset()` of the emulator also switches them off. */
  state(): Pick<ConsoleState, "faults" | "activeFaults" | "otherFaults"> {
    const { pending } = this.#emulator.internals.faults;
    this.#active = this.#active.filter(({ fault }) => pending.includes(fault));
    return {
      faults: PRESETS.map(({ id, label, description }) => ({ id, label, description })),
      activeFaults: this.#active.map(({ id, service }) => ({ id, service })),
      otherFaults: pending.length - this.#active.length,
    };
  }
}
