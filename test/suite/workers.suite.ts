import { AsyncInferenceClient, EasModelError } from "eas-prediction";
import { openQueue } from "./clients.js";
import { Counterpart } from "./counterpart.js";
import { expect, rejection } from "./expect.js";
import { test } from "./harness.js";

test(
  "workers",
  "handles all items in consume(), returns failed items to the queue, and stops on its signal",
  async (test) => {
    const { open, seen } = await openQueue(test);
    const [producer, worker] = [open(), open()];
    for (let i = 0; i < 20; i++) await producer.put(String(i));
    const counted = test.signal();
    const handled: string[] = [];
    let failures = 0;
    await worker.consume(
      async (frame) => {
        if (frame.text() === "7" && failures++ === 0) throw new Error("once");
        handled.push(frame.text());
        if (handled.length === 20) counted.abort();
      },
      { concurrency: 4, signal: counted.signal },
    );
    expect(handled.map(Number).sort((a, b) => a - b)).to.deep.equal(Array.from({ length: 20 }, (_, i) => i));
    expect((await seen()).length).to.equal(0);
  },
);

test(
  "workers",
  "returns each job's own result of asynchronous inference, and rejects for a model's error",
  async (test) => {
    const serviceName = await new Counterpart(test).addQueue({}, "upper");
    const client = test.closing(
      new AsyncInferenceClient({ endpoint: test.endpoint, serviceName, token: test.token, logger: null }),
    );
    const jobs = await Promise.all(Array.from({ length: 5 }, (_, i) => client.submit(`job ${i} 你好`)));
    const results = await Promise.all(jobs.map((job) => job.result({ timeout: 30_000 })));
    expect(results.map((frame) => frame.text())).to.deep.equal(Array.from({ length: 5 }, (_, i) => `JOB ${i} 你好`));
    const resumed = client.resume(JSON.parse(JSON.stringify(await client.submit("later"))));
    expect((await resumed.result({ timeout: 30_000 })).text()).to.equal("LATER");
    const failing = await client.submit("fail");
    expect(await rejection(failing.result({ timeout: 30_000 }))).to.be.instanceOf(EasModelError);
  },
);
