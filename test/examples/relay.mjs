// Tests the example of a relay, with the emulator's language model.
import { deepEqual, equal, ok } from "node:assert/strict";

/** Origin of the page that may call. */
export const PAGE_ORIGIN = "https://my.site";

/** Calls the relay like an allowed page and like other pages. Returns the response to the allowed page. */
export async function checkRelay(url, emulator) {
  const before = emulator.requests.length;
  const seen = () => emulator.requests.slice(before).map(({ method, url, status }) => `${method} ${url} ${status}`);
  const at = (path, init) => fetch(`${url}eas${path}`, { ...init, headers: { origin: PAGE_ORIGIN, ...init?.headers } });

  const preflight = await at("/v1/chat/completions", {
    method: "OPTIONS",
    headers: { "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
  });
  deepEqual([preflight.status, preflight.headers.get("access-control-allow-headers")], [204, "content-type"]);

  const asked = { model: "eas-ngram", stream: true, messages: [{ role: "user", content: "学而时习之，" }] };
  const answer = await at("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(asked),
  });
  equal(answer.status, 200);
  equal(answer.headers.get("access-control-allow-origin"), PAGE_ORIGIN);
  const text = await answer.text();
  ok(text.endsWith("data: [DONE]\n\n"), text);
  equal((await (await at("/v1/models")).json()).object, "list");

  const refusals = [
    await at("/v1/models", { method: "DELETE" }),
    await at("/v1/chat/completions/../../admin"),
    await at("/v1/models", { headers: { origin: "https://other.example" } }),
    await at("/v1/chat/completions", { method: "POST", body: "x".repeat(1024 * 1024 + 1) }),
  ];
  deepEqual(
    refusals.map(({ status }) => status),
    [403, 403, 403, 413],
  );
  for (const refusal of refusals) deepEqual(Object.keys(await refusal.json()), ["error"]);
  const path = "/api/predict/llm/v1";
  deepEqual(seen(), [`POST ${path}/chat/completions 200`, `GET ${path}/models 200`]);

  emulator.fault({ status: 401, body: "authorization failed" });
  const refused = await at("/v1/models");
  deepEqual(
    [refused.status, await refused.json()],
    [502, { error: "the relay cannot forward the service's response" }],
  );
  return `${text.split("data: ").length - 2} pieces of a stream; ${refusals.length} refusals with nothing sent`;
}
