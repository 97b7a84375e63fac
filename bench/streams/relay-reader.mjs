// Reads streams through a relay or proxy, with as little work as undici allows: it only counts bytes.

import { deepStrictEqual, equal } from "node:assert/strict";
import { Agent, request } from "undici";
import { serve } from "../child.mjs";
import { collectGarbage } from "../measure.mjs";
import { PATH, planOf, REQUEST } from "./stream-data.mjs";

const dispatcher = new Agent({ connections: 1024, headersTimeout: 0, bodyTimeout: 0 });
const headers = { "content-type": "application/json" };
const body = JSON.stringify(REQUEST);
const method = "POST";

const pathOf = (service) => `/api/predict/${service}${PATH}`;
const bytesOf = (service) => Buffer.concat(planOf(service).writes);

/** Proves that every byte is relayed. */
async function verify({ origin, service }) {
  const response = await request(origin + pathOf(service), { dispatcher, method, headers, body });
  equal(response.statusCode, 200);
  equal(response.headers["content-type"], "text/event-stream; charset=utf-8");
  deepStrictEqual(Buffer.from(await response.body.arrayBuffer()), bytesOf(service));
}

/** Returns the number of bytes of a response. */
function lengthOf(origin, service) {
  let length = 0;
  let status = 0;
  return new Promise((resolve, reject) => {
    dispatcher.dispatch(
      { origin, path: pathOf(service), method, headers, body },
      {
        onRequestStart() {},
        onResponseStart(_controller, code) {
          status = code;
        },
        onResponseData(_controller, chunk) {
          length += chunk.length;
        },
        onResponseEnd() {
          if (status === 200) resolve(length);
          else reject(new Error(`status ${status}`));
        },
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
}

/** Reads `inFlight` streams concurrently, `times` in sequence. Returns the seconds. */
async function sample({ origin, service, inFlight, times }) {
  const { length } = bytesOf(service);
  collectGarbage();
  const start = performance.now();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      for (let i = 0; i < times; i++) equal(await lengthOf(origin, service), length);
    }),
  );
  return (performance.now() - start) / 1000;
}

serve({ verify, sample });
