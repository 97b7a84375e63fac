// Checks examples/worker-fleet: its manifests against the schemas of Kubernetes and KEDA, and its worker in a process.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startEmulator } from "../../dist/emulator.js";
import { QueueClient } from "../../dist/index.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const EXAMPLE = `${ROOT}examples/worker-fleet`;
const MODULES = fileURLToPath(new URL("node_modules", import.meta.url));

/** The schemas of the kinds in the manifests. */
const MODELS = {
  "apps/v1 Deployment": "kubernetes-models/apps/v1/Deployment",
  "keda.sh/v1alpha1 TriggerAuthentication": "@kubernetes-models/keda/keda.sh/v1alpha1/TriggerAuthentication",
  "keda.sh/v1alpha1 ScaledObject": "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject",
};

async function read(name) {
  const { parseAllDocuments } = await import("yaml");
  return parseAllDocuments(readFileSync(`${EXAMPLE}/kubernetes/${name}`, "utf8")).map((document) => {
    deepEqual(document.errors, []);
    return document.toJS();
  });
}

/** Throws if a manifest does not match its schema. */
async function validate(manifest) {
  const path = MODELS[`${manifest.apiVersion} ${manifest.kind}`];
  ok(path, `no schema for ${manifest.apiVersion} ${manifest.kind}`);
  const { [manifest.kind]: Model } = await import(path);
  new Model(manifest).validate();
}

/** Checks the manifests. Returns the metadata of the trigger. */
export async function checkManifests() {
  const [deployment] = await read("deployment.yaml");
  const [auth, scaled] = await read("keda.yaml");
  for (const manifest of [deployment, auth, scaled]) await validate(manifest);
  // The schemas find errors.
  for (const wrong of [
    { ...deployment, spec: { ...deployment.spec, replicas: "two" } },
    { ...deployment, spec: { ...deployment.spec, selector: undefined } },
    { ...scaled, spec: { ...scaled.spec, maxReplicaCount: "many" } },
    { ...scaled, spec: { ...scaled.spec, triggers: undefined } },
  ]) {
    let error;
    try {
      await validate(wrong);
    } catch (thrown) {
      error = thrown;
    }
    ok(error, `accepted ${JSON.stringify(wrong.spec).slice(0, 80)}`);
  }
  const { spec } = deployment.spec.template;
  const [container] = spec.containers;
  deepEqual(deployment.spec.template.metadata.labels, deployment.spec.selector.matchLabels);
  const env = Object.fromEntries(container.env.map(({ name, value, valueFrom }) => [name, value ?? valueFrom]));
  // The grace period covers the drain timeout and the last commits.
  ok(spec.terminationGracePeriodSeconds * 1000 >= Number(env.DRAIN_TIMEOUT_MS) + 10_000);
  const { secretKeyRef } = env.EAS_TOKEN;
  const [secret] = auth.spec.secretTargetRef;
  deepEqual([secret.parameter, secret.name, secret.key], ["apiKey", secretKeyRef.name, secretKeyRef.key]);
  const source = readFileSync(`${EXAMPLE}/worker.mjs`, "utf8") + readFileSync(`${EXAMPLE}/telemetry.mjs`, "utf8");
  for (const name of Object.keys(env)) ok(source.includes(name), `the worker does not read ${name}`);
  for (const { httpGet } of [container.startupProbe, container.readinessProbe, container.livenessProbe]) {
    ok(source.includes(`"${httpGet.path}"`), `the worker does not serve ${httpGet.path}`);
    ok(container.ports.some(({ name }) => name === httpGet.port));
  }
  equal(scaled.spec.scaleTargetRef.name, deployment.metadata.name);
  const [trigger] = scaled.spec.triggers;
  equal(trigger.authenticationRef.name, auth.metadata.name);
  equal(trigger.metadata.url, `${env.EAS_ENDPOINT}/api/predict/${env.EAS_QUEUE}?_attrs_=true`);
  match(readFileSync(`${EXAMPLE}/Dockerfile`, "utf8"), /^CMD \["node", "worker\.mjs"\]$/m);
  return trigger.metadata;
}

/** Runs the worker of the example against an emulator and an OpenTelemetry collector. */
export async function runExample(trigger) {
  const emulator = await startEmulator({ queues: { render: {}, render_dead: {} } });
  const exported = [];
  const collector = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    exported.push(JSON.parse(Buffer.concat(chunks)));
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  }).listen(0, "127.0.0.1");
  await once(collector, "listening");
  const { input, sink } = emulator.queue("render");
  const dead = emulator.queue("render_dead").input;
  const producer = new QueueClient({ endpoint: emulator.endpoint, queueName: "render", token: emulator.token });
  const put = await producer.put(JSON.stringify({ prompt: "a cat" }));
  await producer.put("not JSON");

  // KEDA reads this value from the attributes.
  const { pathname, search } = new URL(trigger.url);
  const attributes = await fetch(emulator.endpoint + pathname + search, {
    headers: { [trigger.keyParamName]: emulator.token },
  });
  equal((await attributes.json())[trigger.valueLocation.replaceAll("\\", "")], "2");

  // The folder resolves the packages of this test and the package itself.
  const folder = `${MODULES}/.worker-fleet`;
  mkdirSync(folder, { recursive: true });
  for (const file of ["worker", "handler", "telemetry"]) cpSync(`${EXAMPLE}/${file}.mjs`, `${folder}/${file}.mjs`);
  if (!existsSync(`${MODULES}/eas-prediction`)) symlinkSync(ROOT, `${MODULES}/eas-prediction`, "dir");
  const child = spawn(process.execPath, ["worker.mjs"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      PATH: process.env.PATH,
      EAS_ENDPOINT: emulator.endpoint,
      EAS_TOKEN: emulator.token,
      EAS_QUEUE: "render",
      EAS_DEAD_LETTER_QUEUE: "render_dead",
      MAX_ATTEMPTS: "2",
      PORT: "0",
      HOST: "127.0.0.1",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.address().port}`,
    },
  });
  const exit = once(child, "exit");
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  try {
    while (!/probes on port \d+/.test(output) || input.length > 0) {
      if (child.exitCode !== null) throw new Error(`the worker exited with ${child.exitCode}: ${output}`);
      await pause(5);
    }
    const port = /probes on port (\d+)/.exec(output)[1];
    const probe = async (path) => (await fetch(`http://127.0.0.1:${port}${path}`)).status;
    deepEqual(await Promise.all(["/livez", "/readyz", "/stats", "/x"].map(probe)), [200, 200, 200, 404]);
    child.kill("SIGTERM");
    deepEqual(await exit, [0, null]);
  } finally {
    child.kill("SIGKILL");
    await producer.close();
    await emulator.close();
    collector.closeAllConnections();
    collector.close();
  }
  match(output, /"handled":1,"failed":2,"deadLettered":1/);
  deepEqual(
    sink.items.map(({ tags, data }) => [tags.requestId, JSON.parse(new TextDecoder().decode(data))]),
    [[put.requestId, { file: `${put.requestId}.png`, prompt: "a cat" }]],
  );
  deepEqual(
    dead.items.map(({ tags }) => [tags.easAttempt, tags.easReason.split(":", 1)[0]]),
    [["2", "EasDecodeError"]],
  );
  const metrics = exported
    .at(-1)
    .resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics)
    .flatMap((scope) => scope.metrics);
  const values = Object.fromEntries(
    metrics
      .filter(({ name }) => name.startsWith("worker."))
      .map(({ name, sum, gauge }) => {
        const [{ asInt, asDouble }] = (sum ?? gauge).dataPoints;
        return [name, Number(asInt ?? asDouble)];
      }),
  );
  deepEqual(values, {
    "worker.items.in_work": 0,
    "worker.items.handled": 1,
    "worker.attempts.failed": 2,
    "worker.items.dead_lettered": 1,
    "worker.connected": 0,
  });
}
