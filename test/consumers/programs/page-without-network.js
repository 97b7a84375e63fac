// A page that bundles the emulator and all compressions.
import { PredictClient, TFRequest } from "eas-prediction";
import { lz4Frame } from "eas-prediction/compression/lz4";
import { snappy } from "eas-prediction/compression/snappy";
import { zstd } from "eas-prediction/compression/zstd";
import { createEmulator, heldOutDigits } from "eas-prediction/emulator/memory";

async function work() {
  const emulator = createEmulator();
  const { token, transport } = emulator;
  const client = new PredictClient({ endpoint: "http://emulator", serviceName: "digits", token, transport });
  const request = new TFRequest("predict_images");
  request.addFeed("images", [1, 64], TFRequest.DT_FLOAT, heldOutDigits.images[0]).addFetch("labels");
  const [label] = (await client.predict(request)).getNumbers("labels");

  const codecs = [];
  for (const codec of [snappy, lz4Frame, zstd]) {
    const bytes = await codec.compress(new Uint8Array(1000));
    const { length } = await codec.decompress(bytes, { maxBytes: 1000, headers: new Headers() });
    codecs.push(`${codec.name} ${bytes.length < 1000} ${length}`);
  }
  return { label, expected: heldOutDigits.labels[0], codecs };
}

globalThis.answer = work();
