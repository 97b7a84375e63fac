// The jobs that the page knows, as tiles: waiting, running or done.
import { showImage } from "./image-view.mjs";

const TEXTS = {
  waiting: () => "waits",
  working: () => "at work",
  done: ({ answer, label }) => (answer === label ? `${answer} ✓` : `${answer} ✗`),
  elsewhere: () => "taken elsewhere",
};

export function jobList(element) {
  /** Tiles by index, which is a bigint. */
  const jobs = new Map();
  const of = (...states) => [...jobs.values()].filter(({ state }) => states.includes(state));

  function set(job, state, answer) {
    Object.assign(job, { state, answer });
    job.tile.dataset.state = state;
    if (state === "done") job.tile.dataset.right = answer === job.label;
    job.caption.textContent = TEXTS[state](job);
  }

  return {
    /** Returns the tile of a job. Creates it for an unknown job, which an earlier visit to the page may have put. */
    get(index, { pixels, label }) {
      const known = jobs.get(index);
      if (known) return known;
      const [tile, picture, caption] = ["li", "canvas", "span"].map((tag) => document.createElement(tag));
      picture.className = "image";
      picture.width = 8;
      picture.height = 8;
      tile.className = "job";
      tile.append(picture, caption);
      element.append(tile);
      showImage(picture, pixels);
      const job = { index, label, tile, caption };
      jobs.set(index, job);
      set(job, "waiting");
      return job;
    },
    set,
    remove(job) {
      jobs.delete(job.index);
      job.tile.remove();
    },
    /** Removes the tiles when all jobs are done. */
    clearIfDone() {
      if (of("waiting", "working").length > 0) return;
      for (const job of [...jobs.values()]) this.remove(job);
    },
    of,
    get size() {
      return jobs.size;
    },
  };
}
