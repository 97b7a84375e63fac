// A page that predicts with text and tensors, and watches a queue.
import { PredictClient, QueueClient, StringRequest, TFRequest } from "eas-prediction";

async function work({ endpoint, token, image }) {
  const client = new PredictClient({ endpoint, serviceName: "digits", token });
  const text = String(await client.service("echo").predict(new StringRequest("你好")));

  const request = new TFRequest("predict_images");
  request.addFeed("images", [1, 64], TFRequest.DT_FLOAT, image).addFetch("labels");
  const [label] = (await client.predict(request)).getNumbers("labels");

  const queue = new QueueClient({ endpoint, queueName: "jobs", token });
  await queue.put("job");
  const watcher = queue.watch(0, 1, { autoCommit: true });
  const frame = (await watcher.next()).value.text();
  const { transport } = watcher;

  await Promise.all([client.close(), queue.close()]);
  return { text, label, frame, transport };
}

globalThis.answer = work(globalThis.settings);
