import type { PictureRequest } from "../pictures/picture.js";
import { linkedNode, type Workflow, withAncestors } from "./workflow.js";

/** The pictures that a node receives. */
export interface PictureBatch extends PictureRequest {
  /** Number of pictures. The seed increases by 1 from one picture to the next. */
  readonly count: number;
}

const DEFAULT_SIDE = 512;

/**
 * Finds the seed, prompt and size of the pictures that a node writes, in the nodes on which it depends. Inputs are
 * recognized by their names, so that custom nodes with the usual input names work too.
 */
export function picturesOf(workflow: Workflow, output: string): PictureBatch {
  const ids = withAncestors(workflow, output);
  const numberOf = (name: string) => {
    for (const id of [...ids].reverse()) {
      const value = workflow.get(id)?.inputs[name];
      if (typeof value !== "object" && value !== undefined && Number.isFinite(Number(value))) return Number(value);
    }
    return undefined;
  };
  return {
    seed: numberOf("seed") ?? numberOf("noise_seed") ?? 0,
    prompt: promptOf(workflow, ids),
    width: sideOf(numberOf("width")),
    height: sideOf(numberOf("height")),
    count: Math.max(1, Math.floor(numberOf("batch_size") ?? 1)),
  };
}

function sideOf(value: number | undefined): number {
  return Math.max(1, Math.floor(value ?? DEFAULT_SIDE));
}

/** Returns the texts on which the `positive` input of a sampler depends, or all texts if no node has such an input. */
function promptOf(workflow: Workflow, ids: readonly string[]): string {
  const positive = ids.map((id) => linkedNode(workflow.get(id)?.inputs.positive)).find((id) => id !== undefined);
  const sources = positive === undefined ? ids : withAncestors(workflow, positive);
  const texts = sources.flatMap((id) => {
    const { text } = workflow.get(id)?.inputs ?? {};
    return typeof text === "string" ? [text] : [];
  });
  return texts.join("\n");
}
