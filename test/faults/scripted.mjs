// Each fault separately. It affects the first attempt of each call, and all attempts of every fifth call.
import { CONNECTION_FAULTS, FAULTS, REFUSALS } from "./faults.mjs";

const QUICK = { timeout: 250, totalTimeout: 1_500, retryCount: 2 };
/** Faults that are valid responses. */
const HARMLESS = ["slow drip", "length too short"];
/** Faults that break the protocol: a retry would not help, so that the first attempt is final. */
const FINAL = ["garbage status line"];

export function scripted({ counts }) {
  const scenarios = [];
  const calls = counts.scripted;
  for (const fault of Object.keys({ ...FAULTS, ...REFUSALS })) {
    const isHarmless = HARMLESS.includes(fault);
    const always = isHarmless ? 0 : FINAL.includes(fault) ? calls : Math.floor(calls / 5);
    scenarios.push({
      name: fault,
      calls,
      client: QUICK,
      plans: Array(5).fill({ fault }),
      mayBeCut: fault === "length too short",
      expect: ({ kind, answered }, outcomes) => [
        kind === "predict" && answered !== calls - always && `${answered} of ${calls - always} calls were answered`,
        ...(isHarmless ? [] : unsafeAnswers(outcomes, fault)),
      ],
    });
  }
  for (const connection of Object.keys(CONNECTION_FAULTS)) {
    scenarios.push({ name: connection, calls, client: QUICK, plans: Array(5).fill({ connection }), firstList: 5_000 });
  }
  scenarios.push({
    name: "refuse",
    calls,
    client: QUICK,
    modes: ["gateway"],
    plans: [{ isDown: true }],
    expect: ({ answered, retries }) => [
      answered > 0 && "somebody answered",
      retries !== calls * QUICK.retryCount && `${retries} retries`,
    ],
  });
  scenarios.push({
    name: "refuse (2 of 4 instances)",
    calls,
    client: QUICK,
    modes: ["direct"],
    plans: [{}, {}, { isDown: true }, {}, { isDown: true }],
    expect: ({ answered }) => answered !== calls && `${answered} of ${calls} calls were answered`,
  });
  return scenarios.flatMap((scenario) => both(scenario));
}

/** A put or a take whose first attempt failed must not succeed, unless it was refused unprocessed. */
function unsafeAnswers(outcomes, fault) {
  if (REFUSALS[fault]) return [];
  return outcomes
    .filter(({ operation, error }) => ["put", "take"].includes(operation.kind) && error === undefined)
    .map(({ id, operation }) => `${operation.kind} ${id} was answered after "${fault}"`);
}

/** A scenario for predict and queue calls, through a gateway and directly to instances. */
export function both({ modes = ["gateway", "direct"], kinds = ["predict", "queue"], ...scenario }) {
  return modes.flatMap((mode) => kinds.map((kind) => ({ ...scenario, mode, kind })));
}
