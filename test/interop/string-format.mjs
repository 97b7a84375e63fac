// Random bodies of the string format: text or bytes.
import { bytes, text } from "./random.mjs";
import { base64, decode } from "./values.mjs";

export const string = {
  request(random) {
    const body = random.once(3) ? { bytes: base64(bytes(random, 300)) } : random.list(5, () => text(random)).join("");
    return { new: [body], steps: [] };
  },
  ours: ({ new: [body] }) => decode(body),
};
