// The ways to read a chat stream and to parse the JSON of each event.

import { equal } from "node:assert/strict";
import { PredictClient } from "eas-prediction";
import { createParser } from "eventsource-parser";
import OpenAI from "openai";
import { Agent, request } from "undici";
import { TOKEN } from "../data.mjs";
import { PATH, REQUEST } from "./stream-data.mjs";

const DONE = "[DONE]";
const headers = { "content-type": "application/json", authorization: TOKEN };
const body = JSON.stringify(REQUEST);
/** Every contender has as many connections as streams. */
const CONNECTIONS = 1024;

/** Calls back with the values of a text: the fastest use of the parser. */
function parserTo(onValue) {
  const decoder = new TextDecoder();
  const parser = createParser({ onEvent: ({ data }) => data !== DONE && onValue(JSON.parse(data)) });
  return (chunk) => parser.feed(decoder.decode(chunk, { stream: true }));
}

/** Parses the lines of chunks of bytes. */
function splitterTo(onValue) {
  const decoder = new TextDecoder();
  let rest = "";
  return (chunk) => {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) onValue(JSON.parse(line));
  };
}

function undici({ origin }, feederTo) {
  // Without timeouts, which would only slow down a bare contender.
  const dispatcher = new Agent({ connections: CONNECTIONS, headersTimeout: 0, bodyTimeout: 0 });
  return async (service, onValue) => {
    const url = `${origin}/api/predict/${service}${PATH}`;
    const response = await request(url, { dispatcher, method: "POST", headers, body });
    equal(response.statusCode, 200);
    const feed = feederTo(onValue);
    for await (const chunk of response.body) feed(chunk);
  };
}

/** Returns `read` for a service, whose client is created once. */
function ours({ origin }, read) {
  const clients = perService((serviceName) => {
    const settings = { endpoint: origin, serviceName, token: TOKEN, maxConnectionCount: CONNECTIONS };
    return new PredictClient(settings);
  });
  return (service, onValue) => read(clients(service), onValue);
}

const open = (client) => client.stream(new TextEncoder().encode(body), { path: PATH });

async function readOpenAi(client, onValue) {
  for await (const chunk of await client.chat.completions.create(REQUEST)) onValue(chunk);
}

function perService(make) {
  const made = new Map();
  return (service) => {
    if (!made.has(service)) made.set(service, make(service));
    return made.get(service);
  };
}

/** Each returns `read(service, onValue)`, which resolves at the end of one stream. */
export const WAYS = {
  "undici + parser": (settings) => undici(settings, parserTo),
  "undici + split": (settings) => undici(settings, splitterTo),
  "fetch + parser": ({ origin }) => {
    return async (service, onValue) => {
      const response = await fetch(`${origin}/api/predict/${service}${PATH}`, { method: "POST", headers, body });
      equal(response.status, 200);
      const feed = parserTo(onValue);
      const reader = response.body.getReader();
      for (let read = await reader.read(); !read.done; read = await reader.read()) feed(read.value);
    };
  },
  openai: ({ origin }) => {
    const options = { apiKey: TOKEN, maxRetries: 0 };
    const clients = perService((name) => new OpenAI({ ...options, baseURL: `${origin}/api/predict/${name}/v1` }));
    return (service, onValue) => readOpenAi(clients(service), onValue);
  },
  "events() + json()": (settings) =>
    ours(settings, async (client, onValue) => {
      for await (const event of (await open(client)).events()) onValue(event.json());
    }),
  "stream().json()": (settings) =>
    ours(settings, async (client, onValue) => {
      for await (const value of (await open(client)).json()) onValue(value);
    }),
  "client.openai()": (settings) => {
    const libraries = new WeakMap();
    return ours(settings, (client, onValue) => {
      if (!libraries.has(client)) libraries.set(client, new OpenAI({ ...client.openai(), maxRetries: 0 }));
      return readOpenAi(libraries.get(client), onValue);
    });
  },
};
