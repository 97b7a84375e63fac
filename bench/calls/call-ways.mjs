// The ways to call the server.

import { equal } from "node:assert/strict";
import { createHmac, hash } from "node:crypto";
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { PredictClient } from "eas-prediction";
import { Agent, request } from "undici";
import { TOKEN } from "../data.mjs";
import { dispatching } from "./bare-dispatch.mjs";

const CONTENT_TYPE = "application/octet-stream";

/**
 * Each returns `call(service, input)`, which resolves with the body of the response and rejects if the status is not
 * 200.
 */
export const WAYS = {
  "Agent.dispatch": (settings) => dispatching(settings),
  /** The body is copied into fresh memory, which every encoder of numbers has to do at least. */
  "Agent.dispatch, fresh body": (settings) => dispatching(settings, (body) => new Uint8Array(body)),
  "undici.request": ({ origin, connections, authorize }) => {
    const dispatcher = new Agent({ connections, headersTimeout: 0, bodyTimeout: 0 });
    return async (service, body) => {
      const response = await request(`${origin}/api/predict/${service}`, {
        dispatcher,
        method: "POST",
        headers: authorize(service, body),
        body,
      });
      equal(response.statusCode, 200);
      return new Uint8Array(await response.body.arrayBuffer());
    };
  },
  fetch: ({ origin, authorize }) => {
    return async (service, body) => {
      const flat = authorize(service, body);
      const headers = Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
      const response = await fetch(`${origin}/api/predict/${service}`, { method: "POST", headers, body });
      equal(response.status, 200);
      return new Uint8Array(await response.arrayBuffer());
    };
  },
  "node:http": ({ origin, connections, authorize }) => {
    const { host, hostname, port } = new URL(origin);
    const agent = new HttpAgent({ keepAlive: true, maxSockets: connections, noDelay: true });
    return (service, body) =>
      new Promise((resolve, reject) => {
        // Passed as a list, these are all headers that are sent.
        const headers = ["host", host, ...authorize(service, body), "content-length", String(body.length)];
        const outgoing = httpRequest(
          { agent, hostname, port, path: `/api/predict/${service}`, method: "POST", headers },
          (response) => {
            if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
            const whole = new Uint8Array(Number(response.headers["content-length"]));
            let length = 0;
            response.on("data", (chunk) => {
              whole.set(chunk, length);
              length += chunk.length;
            });
            response.on("end", () => resolve(whole));
            response.on("error", reject);
          },
        );
        outgoing.on("error", reject);
        outgoing.end(body);
      });
  },
  /** Each call encodes a tensor and decodes the response into a `TFResponse`. */
  predict: (settings) => predicting(clientsOf(settings)),
  "predict, zeroCopy": (settings) => predicting(clientsOf(settings, { zeroCopy: true })),
  /** The call alone: bytes are sent, and the response is not decoded. */
  "predict, ready bytes": (settings) => {
    const clients = clientsOf(settings);
    return (service, bytes) => clients(service).predict({ toBinary: () => bytes, parseResponse: (body) => body });
  },
};

/** Contenders that take a request object instead of bytes. */
export const ENCODING = ["predict", "predict, zeroCopy"];

const predicting = (clients) => (service, input) => clients(service).predict(input);

function clientsOf({ origin, connections, signed }, options = {}) {
  const clients = new Map();
  return (serviceName) => {
    if (!clients.has(serviceName)) {
      const auth = signed ? "signature" : "token";
      const own = {
        endpoint: origin,
        serviceName,
        token: TOKEN,
        auth,
        maxConnectionCount: connections,
        timeout: 20_000,
      };
      clients.set(serviceName, new PredictClient({ ...own, ...options }));
    }
    return clients.get(serviceName);
  };
}

/** The headers that the SDK sends, in the form that undici and node:http use without conversion. */
export function authorization(signed) {
  if (!signed) {
    const headers = ["content-type", CONTENT_TYPE, "authorization", TOKEN];
    return () => headers;
  }
  let second = -1;
  let date = "";
  return (service, body) => {
    const now = Date.now();
    if (Math.floor(now / 1000) !== second) {
      second = Math.floor(now / 1000);
      date = new Date(now).toUTCString();
    }
    const md5 = hash("md5", body, "hex");
    const text = `POST\n${md5}\n${CONTENT_TYPE}\n${date}\n/api/predict/${service}`;
    const signature = createHmac("sha1", TOKEN).update(text).digest("base64");
    // biome-ignore format: one line for each header
    return [
      "content-type", CONTENT_TYPE,
      "content-md5", md5,
      "date", date,
      "authorization", `EAS ${signature}`,
    ];
  };
}
