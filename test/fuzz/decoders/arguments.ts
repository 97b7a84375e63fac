import { checkHeaders } from "../../../src/config/headers.js";
import { joinPath, suffixOf } from "../../../src/config/url.js";
import {
  checkCustomUrl,
  checkServiceName,
  gatewayTarget,
  parseEndpoint,
} from "../../../src/endpoint/parse-endpoint.js";
import { checkDuration, checkIndex, checkTags } from "../../../src/queue/values.js";
import { type Bytes, must, table, textOf, utf8 } from "../decoder.js";

// Arguments, which can contain text of untrusted users.

const URL_PIECES = [
  "/",
  "//",
  "..",
  "/../",
  "%2e",
  "%2F",
  "%5c",
  "%",
  "%zz",
  "\\",
  "@",
  ":",
  "#",
  "?",
  "&",
  "=",
  "[",
  "]",
  "::1",
  "http://",
  "HTTPS://",
  "ftp://",
  "/api/predict/",
  "/api/predict",
  "a",
  "A",
  "é",
  "。",
  "／",
  "\u2028",
  "\u2029",
  "\0",
  "\r",
  "\n",
  "\t",
  " ",
  "xn--",
  ":80",
  ":99999",
  "127.0.0.1",
  "__proto__",
  "constructor",
].map(utf8);

const BEFORE_AND_AFTER = [
  ["", ""],
  ["http://a/", "x"],
  ["http://a/api/predict/", "x"],
  ["a/", ""],
].map(([before, after]) => [utf8(before as string), utf8(after as string)] as const);

/** Any text, including lone surrogates. */
const callers = (bytes: Bytes): string => textOf(bytes).replaceAll("\ufffd", "\ud800");

const env = () => undefined;

/** Checks that the target is one request to the expected origin, below the expected path. */
function check(origin: string, path: string, below: string): void {
  const url = new URL(origin + path);
  must(url.origin === origin, "the origin");
  // `URL` escapes an apostrophe in a query.
  must(
    url.pathname + url.search.replaceAll("%27", "'") === path.replaceAll("%27", "'"),
    "the path as a URL parser sees it",
  );
  must(url.pathname.startsWith(below), `a path below ${below}`);
  must(/^\/[\x21-\x7e]*$/.test(path), "a path that can be sent");
}

export const ARGUMENTS = table({ pieces: [...URL_PIECES, ...["1", "9", ".", "h", "ms", "s", "_"].map(utf8)] }, [
  {
    name: "endpoint",
    samples: () =>
      [
        "1.cn-shanghai.pai-eas.aliyuncs.com",
        "http://h:8080/",
        "https://h/api/predict/group.svc/v2",
        "[::1]:80",
        "a/b/c/",
      ].map(utf8),
    around: BEFORE_AND_AFTER,
    decode(input: Bytes) {
      const { origin, serviceName } = parseEndpoint(callers(input));
      must(/^https?:\/\/[^/@]+$/.test(origin), "the origin");
      const target = gatewayTarget({ endpoint: callers(input), serviceName: serviceName ?? "svc" }, env);
      check(target.origin, target.path, "/");
    },
  },
  {
    name: "custom URL",
    samples: () => ["http://h/x?y=z", "https://h:1/"].map(utf8),
    around: BEFORE_AND_AFTER,
    decode(input: Bytes) {
      const customUrl = checkCustomUrl(callers(input));
      const { origin, path, query } = gatewayTarget({ customUrl }, env);
      check(origin, path + query, "/");
    },
  },
  {
    name: "service name",
    samples: () => ["svc", "group.svc", "svc/v2"].map(utf8),
    decode(input: Bytes) {
      checkServiceName(callers(input));
      const target = gatewayTarget({ endpoint: "http://h", serviceName: callers(input) }, env);
      check(target.origin, target.path, "/api/predict/");
      must(!target.path.includes("?") && target.query === "", "no query");
    },
  },
  {
    name: "path and query",
    samples: () => ["/v1/chat?x=1", "v1", "?a=b&c", "/a%20b"].map(utf8),
    decode(input: Bytes) {
      const text = callers(input);
      const { wire } = suffixOf(text, { q: text, [text]: 1, n: null });
      check("http://h", joinPath("/api/predict/svc", "", wire), "/api/predict/svc");
    },
  },
  {
    name: "header",
    samples: () => ["x-name: value", "content-type: text/plain"].map(utf8),
    decode(input: Bytes) {
      const text = callers(input);
      const colon = text.indexOf(":");
      for (const [name, value] of checkHeaders([[text.slice(0, Math.max(colon, 0)), text.slice(colon + 1)]])) {
        must(/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name), "a header's name");
        must(!/[\r\n\0]/.test(value), "a header's value");
      }
    },
  },
  {
    name: "duration",
    samples: () => ["5s", "1m30s", "500ms", "0", "1.5h", ".5s", "3µs"].map(utf8),
    decode(input: Bytes) {
      const { milliseconds } = checkDuration("timeout", textOf(input));
      must(milliseconds >= 0 && milliseconds < 2 ** 31, "the time");
    },
  },
  {
    name: "index",
    samples: () => ["1", "18446744073709551615"].map(utf8),
    decode: (input: Bytes) => checkIndex("i", textOf(input)),
  },
  {
    name: "tags",
    samples: () => [utf8("a=b"), utf8("task=1")],
    decode(input: Bytes) {
      const text = callers(input);
      const equals = text.indexOf("=");
      // Parsed, because `__proto__` is an ordinary key in a parsed object, but not in a literal.
      const tags = JSON.parse(JSON.stringify([[text.slice(0, Math.max(0, equals)), text.slice(equals + 1)]])) as [
        string,
        string,
      ][];
      checkTags(Object.fromEntries(tags));
    },
  },
]);
