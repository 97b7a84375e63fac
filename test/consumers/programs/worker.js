// A worker, bundled as by wrangler.
import { PredictClient, QueueClient, TFRequest } from "eas-prediction";

export default {
  async fetch(request, { endpoint, token }) {
    const client = new PredictClient({ endpoint, serviceName: "digits", token, auth: "token" });
    const image = new Float32Array(await request.arrayBuffer());
    const tensors = new TFRequest("predict_images").addFeed("images", [1, 64], "DT_FLOAT", image).addFetch("labels");
    const [label] = (await client.predict(tensors)).getNumbers("labels");
    const queue = new QueueClient({ endpoint, queueName: "jobs", token });
    const { index } = await queue.put("job");
    await queue.delete(index);
    return Response.json({ label, index: String(index) });
  },
};
