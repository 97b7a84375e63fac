import OpenAI from "openai";
import { openService } from "./clients.js";
import { expect, expectError, rejection } from "./expect.js";
import type { TestContext } from "./harness.js";
import { test } from "./harness.js";

const chunk = (content: string, reason: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: reason }] })}\n\n`;
const ANSWER = `${chunk("学而")}${chunk("时习之")}${chunk("", "stop")}data: [DONE]\n\n`;

/** Ways to end a response in the middle: the connection breaks, or a gateway ends it normally. */
const CUTS = {
  fin: { end: "in-body" },
  rst: { reset: "in-body" },
  line: { failure: "Bad Request\n" },
  nothing: { failure: "" },
} as const;

/** A service whose response is cut off as the test specifies. */
async function open(test: TestContext, cut?: keyof typeof CUTS) {
  const { client, service, counterpart } = await openService(test, "events");
  if (cut !== undefined) await counterpart.fault({ service, chunks: 2, ...CUTS[cut] });
  return client;
}

for (const cut of ["fin", "rst", "line", "nothing"] as const) {
  test("truncation", `reports events and chats that are cut off: ${cut}`, async (test) => {
    const stream = await (await open(test, cut)).stream(ANSWER);
    const error = await rejection(stream.chat().finalText());
    // Some runtimes report a broken connection as the end of the body.
    expect(error)
      .to.have.property("name")
      .that.matches(cut === "line" || cut === "nothing" ? /^EasStreamError$/ : /^Eas(Stream|Network)Error$/);
    expectError(error, { retryable: true });
    expect(stream.isComplete).to.equal(false);
  });

  test("openai", `reports a stream that is cut off: ${cut}`, async (test) => {
    const client = await open(test, cut);
    const { fetch, ...options } = client.openai();
    const answer = (input: string | URL | Request, init?: RequestInit) => fetch(input, { ...init, body: ANSWER });
    const openai = new OpenAI({ ...options, fetch: answer, maxRetries: 0, dangerouslyAllowBrowser: true });
    const messages = [{ role: "user" as const, content: "hello" }];
    const read = async () => {
      for await (const part of await openai.chat.completions.create({ model: "m", messages, stream: true })) {
        expect(part.choices).to.have.length(1);
      }
    };
    expect(await rejection(read())).to.be.an("error");
  });
}

test("truncation", "accepts a complete chat, with or without [DONE]", async (test) => {
  const client = await open(test);
  for (const body of [ANSWER, ANSWER.replace("data: [DONE]\n\n", ""), chunk("学而时习之", "stop")]) {
    const stream = await client.stream(body);
    expect(await stream.chat().finalText()).to.equal("学而时习之");
    expect(stream.isComplete).to.equal(true);
  }
});
