import { AsyncInferenceClient, EasModelError, run, TFRequest } from "eas-prediction";
import { Counterpart } from "./counterpart.js";
import { expect, rejection } from "./expect.js";
import { type TestContext, test } from "./harness.js";

/** A client for an asynchronous service of one of the counterpart's kinds that no other test uses. */
async function openJobs(test: TestContext, kind: string) {
  const counterpart = new Counterpart(test);
  const serviceName = await counterpart.addQueue({}, kind);
  const client = test.closing(
    new AsyncInferenceClient({ endpoint: test.endpoint, serviceName, token: test.token, logger: null }),
  );
  return { client, serviceName, counterpart };
}

test("jobs", "returns each job's own result, and rejects for a model's error", async (test) => {
  const { client } = await openJobs(test, "upper");
  const jobs = await Promise.all(Array.from({ length: 5 }, (_, i) => client.submit(`job ${i} 你好`)));
  const results = await Promise.all(jobs.map((job) => job.result({ timeout: 30_000 })));
  expect(results.map((frame) => frame.text())).to.deep.equal(Array.from({ length: 5 }, (_, i) => `JOB ${i} 你好`));
  const resumed = client.resume(JSON.parse(JSON.stringify(await client.submit("later"))));
  expect((await resumed.result({ timeout: 30_000 })).text()).to.equal("LATER");
  const failing = await client.submit("fail");
  expect(await rejection(failing.result({ timeout: 30_000 }))).to.be.instanceOf(EasModelError);
});

test("jobs", "sends an object as JSON, and a Blob with its type", async (test) => {
  const { client } = await openJobs(test, "reflect");
  const json = await (await client.submit({ prompt: "一只猫" })).result({ timeout: 30_000 });
  expect(json.json()).to.deep.equal({ type: "application/json", body: '{"prompt":"一只猫"}' });
  const blob = await client.submit(new Blob(["<p>"], { type: "image/svg+xml" }));
  expect((await blob.result({ timeout: 30_000 })).json()).to.deep.equal({ type: "image/svg+xml", body: "<p>" });
});

test("jobs", "returns a TFResponse for a TFRequest, also from a resumed job", async (test) => {
  const { client } = await openJobs(test, "tensors");
  const request = new TFRequest().addFeed("x", [3], "DT_FLOAT", [1, 0.5, -2]);
  const first = await (await client.submit(request)).result({ timeout: 30_000 });
  expect([...first.getValues("x", "DT_FLOAT")]).to.deep.equal([1, 0.5, -2]);
  const stored = JSON.stringify(await client.submit(request));
  const resumed = await client.resume(JSON.parse(stored), { as: TFRequest }).result({ timeout: 30_000 });
  expect([...resumed.getValues("x", "DT_FLOAT")]).to.deep.equal([1, 0.5, -2]);
});

test("jobs", "yields the states of a job, and reports them with the result", async (test) => {
  const { client } = await openJobs(test, "upper");
  const job = await client.submit("a");
  const states: string[] = [];
  for await (const { state } of job.status()) states.push(state);
  expect(states.at(-1)).to.equal("done");
  const reported: string[] = [];
  const frame = await job.result({ timeout: 30_000, onStatus: ({ state }) => reported.push(state) });
  expect(frame.text()).to.equal("A");
  expect(reported.at(-1)).to.equal("done");
});

test("jobs", "continues run() with the same key, submits one job, and forgets it", async (test) => {
  const { client, serviceName, counterpart } = await openJobs(test, "upper");
  const store = new Map<string, string>();
  const failure = new Error("the database is down");
  const broken = run(client, "a", { store, key: "k", timeout: 30_000, onResult: () => Promise.reject(failure) });
  expect(await rejection(broken)).to.equal(failure);
  expect(store.size).to.equal(1);
  const handed: string[] = [];
  const onResult = (response: object) => handed.push(String(response));
  const result = await run(client, "a", { store, key: "k", timeout: 30_000, onResult });
  expect([String(result), handed, store.size]).to.deep.equal(["A", ["A"], 0]);
  expect((await counterpart.queue(serviceName)).pushes).to.have.length(1);
  expect((await counterpart.queue(serviceName, "sink")).length).to.equal(0);
});

test("jobs", "submits a job of run() again if its first submission is in neither queue", async (test) => {
  const { client, serviceName, counterpart } = await openJobs(test, "upper");
  await counterpart.fault({ service: serviceName, status: 502 });
  const result = await run(client, "a", { store: new Map(), key: "k", timeout: 30_000, settleTime: 0 });
  expect(String(result)).to.equal("A");
  expect((await counterpart.queue(serviceName)).pushes).to.have.length(1);
});
