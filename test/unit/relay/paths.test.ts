import fc from "fast-check";
import { expect, test } from "vitest";
import { createRelay } from "../../../src/relay/index.js";
import { memoryService } from "../../support/relay.js";

/** Parts of paths that have been used to bypass such allow-lists. */
const PIECES = [
  "/",
  "//",
  "\\",
  "%2f",
  "%2F",
  "%5c",
  "%252f",
  "%c0%af",
  "%ef%bc%8f",
  "／",
  "＼",
  "℀",
  "∕",
  "⁄",
  "⧸",
  "⧵",
  "∖",
  "․",
  "﹒",
  "。",
  "%e2%88%95",
  "%e2%81%84",
  "%e2%80%8b",
  ".",
  "..",
  "%2e",
  "%2E%2e",
  "%252e",
  "%c0%ae",
  "．",
  "‥",
  "…",
  "..;",
  ";",
  "..%20",
  "%09",
  "\t",
  " ",
  "\n",
  "v1",
  "V1",
  "%761",
  "chat",
  "admin",
  "files",
  "eas",
  "api",
  "predict",
  "a",
  "b",
  "*",
  "%2a",
  "?",
  "#",
  "%3f",
  "%23",
  "%00",
  "%0d%0a",
  "%",
  "%25",
  "%zz",
  "@",
  ":",
  "http://evil.example",
  "&",
  "=",
  "+",
  "~",
  "é",
  "模型",
];
/** All spellings of "..". */
const UP = fc.tuple(
  fc.constantFrom("..", "%2e%2e", ".%2e", "%252e%252e", "．．", "‥", "..;x", "..%20"),
  fc.constantFrom(
    "/",
    "%2f",
    "%252f",
    "\\",
    "%5c",
    "%255c",
    "／",
    "＼",
    "∕",
    "⁄",
    "⧸",
    "∖",
    ";",
    "?",
    "%3f",
    "%253f",
    "%23",
    "%00",
    "",
  ),
);
const path = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...PIECES) },
    { weight: 2, arbitrary: UP.map((pair) => pair.join("")) },
    fc.string({ unit: "grapheme", maxLength: 3 }),
  ),
  { maxLength: 8 },
);
const method = fc.constantFrom("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS");

/** All readings of a path by servers: decoded up to three times, normalized, cut at ";", resolved. */
function readings(sent: string): string[] {
  const found = new Set<string>();
  const add = (text: string, depth: number) => {
    if (found.has(text)) return;
    found.add(text);
    const next = [
      text.normalize("NFKC"),
      text.replaceAll("\\", "/"),
      text.replace(/[∕⁄⧸⧵∖]/g, "/"),
      text.replace(/[․。]/g, "."),
      text.replace(/\p{Cf}/gu, ""),
      text.replace(/;[^/]*/g, ""),
    ];
    for (const decode of [decodeURIComponent, unescape]) {
      try {
        next.push(decode(text));
      } catch {
        // Others would refuse it, too.
      }
    }
    if (depth < 4) for (const each of next) add(each, depth + 1);
  };
  add(sent, 0);
  return [...found].map((text) => resolve(text.split(/[?#]/, 1)[0] as string));
}

function resolve(text: string): string {
  const segments: string[] = [];
  for (const segment of text.split("/").map((each) => each.trim())) {
    if (segment === "..") segments.pop();
    else if (segment !== ".") segments.push(segment);
  }
  return segments.join("/").replace(/\/{2,}/g, "/");
}

/** Sends the path to each kind of relay and returns the forwarded requests. */
async function passed(method: string, path: string): Promise<{ only: string[]; named: string[] }> {
  const [only, files, chat] = [memoryService(), memoryService(), memoryService()];
  const relays = [
    createRelay({
      client: only.client,
      base: "/eas",
      allow: [{ paths: ["/v1/chat"] }, { methods: ["GET"], paths: ["/files/*"] }],
    }),
    createRelay({
      services: { files: files.client, chat: chat.client },
      base: "/eas",
      allow: [{ paths: ["/chat/v1"] }, { methods: ["GET"], paths: ["/files/*"] }],
    }),
  ];
  for (const relay of relays) {
    let request: Request;
    try {
      request = new Request(`https://my.site${path}`, { method });
    } catch {
      // Servers never receive such a path.
      continue;
    }
    const { status } = await relay(request);
    expect([200, 403, 404]).toContain(status);
  }
  const seen = ({ calls }: typeof only, name: string) => calls.map((call) => `${call.method} ${name}${call.path}`);
  return { only: seen(only, ""), named: [...seen(files, "/files"), ...seen(chat, "/chat")] };
}

const CASES: readonly [string, fc.Arbitrary<string>][] = [
  ["below the root", path.map((pieces) => `/${pieces.join("")}`)],
  ["below the base", path.map((pieces) => `/eas/${pieces.join("")}`)],
  ["below an allowed prefix", path.map((pieces) => `/eas/files/${pieces.join("")}`)],
  ["below an allowed prefix of a service", path.map((pieces) => `/eas/api/predict/files/${pieces.join("")}`)],
  ["below an allowed path", path.map((pieces) => `/eas/v1/chat${pieces.join("")}`)],
];

test.each(CASES)("forwards only allowed paths, however servers read them: %s", async (_, arbitrary) => {
  await fc.assert(
    fc.asyncProperty(method, arbitrary, async (method, path) => {
      const { only, named } = await passed(method, path);
      for (const [calls, exact] of [
        [only, "/v1/chat"],
        [named, "/chat/v1"],
      ] as const) {
        for (const call of calls) {
          const [verb, sent = ""] = call.split(/ (.*)/s);
          const bare = sent.split("?", 1)[0] as string;
          expect(sent).toMatch(/^[\x21-\x7e]*$/);
          expect(sent).not.toContain("#");
          if (verb === "POST") expect(bare).toBe(exact);
          else {
            expect(verb).toBe("GET");
            for (const reading of readings(bare)) expect(`${reading}/`).toMatch(/^\/files\//);
          }
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test("forwards all allowed paths", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.stringMatching(/^[A-Za-z0-9_~-]{1,8}$/), { maxLength: 4 }), async (segments) => {
      const path = ["", ...segments].join("/") || "/";
      expect(await passed("GET", `/eas/files${path}?a=..%2f`)).toEqual({
        only: [`GET /files${path}?a=..%2f`],
        named: [],
      });
      const sent = path === "/" ? "" : path;
      const allowed = sent === "" ? [] : [`GET /files${sent}?a=..%2f`];
      expect((await passed("GET", `/eas/api/predict/files${path}?a=..%2f`)).named).toEqual(allowed);
    }),
    { numRuns: 300 },
  );
});
