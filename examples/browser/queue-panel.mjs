// The second panel: puts jobs into a queue and works through them as the watcher receives them.
import { PredictClient, QueueClient, TFRequest } from "eas-prediction";
import { showFailure } from "./failure.mjs";
import { jobList } from "./job-list.mjs";

const element = (id) => document.getElementById(id);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export function startQueuePanel({ endpoint, token, queueName, digitsService }, samples) {
  // The page itself shows the state of the watch.
  const queue = new QueueClient({ endpoint, queueName, token, logger: null });
  const client = new PredictClient({ endpoint, serviceName: digitsService, token, retryCount: 1 });
  const jobs = jobList(element("jobs"));
  let watcher;
  let isPaused = false;

  /** Puts jobs one after another, so that the queue has the order of the page. */
  async function putJobs(count) {
    jobs.clearIfDone();
    changed();
    for (let i = 0; i < count; i++) {
      const sample = Math.floor(Math.random() * samples.labels.length);
      const job = { pixels: samples.images[sample], label: samples.labels[sample] };
      const { index } = await queue.put(JSON.stringify(job));
      jobs.get(index, job);
      changed();
    }
  }

  /** Works until it is paused. Uncommitted jobs stay in the queue and are delivered again. */
  async function work() {
    // One job at a time. Pages watch over an HTTP stream, because a browser sends no token with a WebSocket upgrade.
    watcher = queue.watch(0n, 1, { transport: "http", onStatus: showStatus });
    for await (const frame of watcher) {
      const content = frame.json();
      const job = jobs.get(frame.index, content);
      jobs.set(job, "working");
      changed();
      const [answer] = await Promise.all([classify(content.pixels), pause(Number(element("pace").value))]);
      await frame.commit();
      jobs.set(job, "done", answer);
      changed();
      // Leaving the loop closes the watcher.
      if (isPaused) break;
    }
  }

  async function classify(pixels) {
    const request = new TFRequest("predict_images");
    request.addFeed("images", [1, 64], TFRequest.DT_FLOAT, pixels).addFetch("labels");
    const [digit] = (await client.predict(request)).getNumbers("labels");
    return digit;
  }

  async function discard() {
    const waiting = jobs.of("waiting");
    await queue.delete(waiting.map(({ index }) => index));
    for (const job of waiting) jobs.remove(job);
    changed();
  }

  async function resume() {
    setPaused(false);
    await attempt(work);
    setPaused(true);
  }

  function stop() {
    isPaused = true;
    // Wait until the loop ends, which is after the current job.
    element("pause").disabled = true;
    if (jobs.of("working").length === 0) void watcher.close();
  }

  function setPaused(value) {
    isPaused = value;
    const button = element("pause");
    button.disabled = false;
    button.setAttribute("aria-pressed", value);
    button.textContent = value ? "Resume" : "Pause";
  }

  /** Shows the attributes of the queue. Requests them again if something changed meanwhile, and never twice at a time. */
  const refresh = whenIdle(async () => {
    const [newest] = jobs.of("waiting").reverse();
    const [attributes, place] = await Promise.all([queue.attributes(), newest && queue.search(newest.index)]);
    element("length").textContent = attributes["stream.length"];
    element("position").textContent = place === undefined || place.isPending ? "–" : place.waitCount;
    // Another consumer has committed it, such as this page in another tab.
    if (newest?.state === "waiting" && place === undefined) {
      jobs.set(newest, "elsewhere");
      changed();
    }
  });

  function changed() {
    const done = jobs.of("done");
    const ended = done.length + jobs.of("elsewhere").length;
    element("progress").max = Math.max(jobs.size, 1);
    element("progress").value = ended;
    element("progress-text").textContent = jobs.size === 0 ? "No jobs yet" : `${ended} of ${jobs.size} jobs done`;
    const right = done.filter(({ answer, label }) => answer === label).length;
    element("right").textContent = done.length === 0 ? "–" : `${right}/${done.length}`;
    void attempt(refresh);
  }

  const states = {
    open: ({ transport }) => (transport === "http" ? "watching over HTTP" : `watching over ${transport}`),
    reconnecting: ({ delay }) => `connecting again in ${(delay / 1000).toFixed(1)} s`,
    closed: () => "paused",
  };
  function showStatus(status) {
    const state = element("watch-state");
    state.dataset.state = status.state;
    state.textContent = states[status.state](status);
  }

  async function attempt(task) {
    try {
      await task();
    } catch (error) {
      showFailure(element("queue-error"), error);
    }
  }

  /** Runs an action of the user. Removes the previous error message. */
  function act(task) {
    showFailure(element("queue-error"), undefined);
    void attempt(task);
  }

  element("put").addEventListener("submit", (event) => {
    event.preventDefault();
    act(() => putJobs(element("count").valueAsNumber));
  });
  element("pause").addEventListener("click", () => act(isPaused ? resume : stop));
  element("discard").addEventListener("click", () => act(discard));
  element("pace").addEventListener("input", ({ target }) => {
    element("pace-text").textContent = `${target.value} ms`;
  });
  act(resume);
  changed();
}

/** Runs `task`, and once more at the end if it was requested while it ran. */
function whenIdle(task) {
  let running;
  let isAskedAgain = false;
  async function run() {
    do {
      isAskedAgain = false;
      await task();
    } while (isAskedAgain);
  }
  return () => {
    isAskedAgain = true;
    running ??= run().finally(() => {
      running = undefined;
    });
    return running;
  };
}
