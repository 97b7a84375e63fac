import { afterEach, describe, expect, test, vi } from "vitest";
import { delayUntil } from "../../../src/call/failures/http-date.js";
import {
  backoff,
  type CallKind,
  outcomeOfStatus,
  parseRetryAfter,
  requestedWait,
  retryDecisionOn,
} from "../../../src/config/retry.js";
import {
  EasDecodeError,
  EasHttpError,
  EasNetworkError,
  EasTimeoutError,
  type PredictRequest,
  TransportError,
} from "../../../src/index.js";
import {
  clientOf,
  errorOf,
  RecordingTransport,
  startServer,
  transportAnswer,
  turn,
  until,
} from "../../support/calls.js";
import {
  answer,
  answerEarly,
  type Behaviour,
  drip,
  finBeforeHeaders,
  finInBody,
  garbage,
  MisbehavingServer,
  raw,
  refusedOrigin,
  requestTimeout,
  resetBeforeHeaders,
  resetBeforeReading,
  resetInBody,
  resetInHeaders,
  stallBeforeHeaders,
  stallInBody,
  truncatedChunks,
} from "../../support/misbehaving-server.js";

function retryAfterOf(header: string | null, date: string | null = null): number | undefined {
  const text = header?.trim() ?? "";
  return parseRetryAfter(text) ?? delayUntil(text, date);
}

afterEach(() => {
  // In this order: spies on fake timers must be removed before the real timers are restored.
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Makes the jitter, and therefore the backoff, 0, so that tests need not wait. */
function withoutBackoff(): void {
  vi.spyOn(Math, "random").mockReturnValue(0);
}

const RETRY_COUNT = 3;
const ALL = RETRY_COUNT + 1;

describe("retries of predict calls", () => {
  type Row = [
    name: string,
    behaviour: Behaviour,
    requests: number,
    error: { type: new (...args: never[]) => Error; code: string; retryable: boolean; status?: number; phase?: string },
  ];
  const network = { type: EasNetworkError, code: "ERR_EAS_NETWORK", retryable: true };
  const timeout = { type: EasTimeoutError, code: "ERR_EAS_TIMEOUT", retryable: true };
  const decode = { type: EasDecodeError, code: "ERR_EAS_DECODE", retryable: false };
  const http = (status: number, retryable: boolean) => ({
    type: EasHttpError,
    code: "ERR_EAS_HTTP",
    retryable,
    status,
  });
  const finalStatuses = [
    300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 405, 406, 409, 410, 411, 413, 415, 422, 425, 451, 499, 501,
    505, 506, 511, 599,
  ];
  const rows: Row[] = [
    ["socket reset after the request", resetBeforeHeaders, ALL, network],
    ["socket ended after the request", finBeforeHeaders, ALL, network],
    ["socket reset in the headers", resetInHeaders, ALL, network],
    ["socket reset in the body", resetInBody, ALL, network],
    ["socket ended in a body of a stated length", finInBody, ALL, network],
    ["socket ended in a chunked body", truncatedChunks, ALL, network],
    ["attempt timeout before the headers", stallBeforeHeaders, 2, { ...timeout, phase: "headers" }],
    ["attempt timeout in the body", stallInBody, 2, { ...timeout, phase: "body" }],
    ["504", answer(504), 2, http(504, true)],
    ["429", answer(429), ALL, http(429, true)],
    ["450", answer(450), ALL, http(450, true)],
    ["503", answer(503, {}, "busy"), ALL, http(503, true)],
    ["503 no healthy upstream", answer(503, {}, "no healthy upstream"), ALL, http(503, true)],
    ["500", answer(500), ALL, http(500, true)],
    ["502", answer(502), ALL, http(502, true)],
    ["408, with the connection closed", requestTimeout, 1, http(408, false)],
    ["404 with an empty body", answer(404), 1, http(404, false)],
    ["404 with a body", answer(404, {}, "no such model"), 1, http(404, false)],
    ...finalStatuses.map(
      (status): Row => [`${status}`, answer(status, { Location: "/elsewhere" }), 1, http(status, false)],
    ),
    ["a content coding that nobody undoes", answer(200, { "Content-Encoding": "compress" }, "x"), 1, decode],
    ["a broken gzip body", answer(200, { "Content-Encoding": "gzip" }, "no gzip"), 1, decode],
    ["an answer over maxResponseBytes", answer(200, {}, "x".repeat(1001)), 1, decode],
  ];

  test.each(rows)("%s", async (_, behaviour, requests, { type, ...fields }) => {
    withoutBackoff();
    const server = await startServer();
    server.always(behaviour);
    // Short only in cases that test the timeout.
    const timeout = type === EasTimeoutError ? 250 : 5000;
    const client = clientOf(server, { retryCount: RETRY_COUNT, timeout, maxResponseBytes: 1000 });
    const error = await errorOf(client.predict("x"));
    expect(server.requests).toHaveLength(requests);
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ ...fields, attempts: requests });
    expect(error).toMatchObject({ maybeAccepted: false, maybeTaken: false });
  });

  test("reports the same errors for a client without a token", async () => {
    withoutBackoff();
    const server = await startServer();
    server.always(answer(400, {}, "no"));
    expect(await errorOf(clientOf(server, { token: undefined }).predict("x"))).toMatchObject({
      code: "ERR_EAS_HTTP",
      status: 400,
      attempts: 1,
    });
  });

  test("connection refused: reports that nothing was sent", async () => {
    withoutBackoff();
    const error = await errorOf(clientOf({ origin: await refusedOrigin() }, { retryCount: RETRY_COUNT }).predict("x"));
    expect(error).toBeInstanceOf(EasNetworkError);
    expect(error).toMatchObject({
      code: "ERR_EAS_NETWORK",
      systemCode: "ECONNREFUSED",
      retryable: true,
      attempts: ALL,
    });
    expect(error.message).toContain("nothing was sent");
  });

  test("retries a reset before the request was read", async () => {
    withoutBackoff();
    const server = await startServer();
    server.always(resetBeforeReading);
    const error = await errorOf(clientOf(server, { retryCount: RETRY_COUNT }).predict("x"));
    expect(error).toBeInstanceOf(EasNetworkError);
    expect(error).toMatchObject({ retryable: true, attempts: ALL });
    expect(server.connections).toBe(ALL);
  });

  test("does not retry a response that is not HTTP", async () => {
    withoutBackoff();
    const server = await startServer();
    server.always(garbage);
    const error = await errorOf(clientOf(server, { retryCount: RETRY_COUNT }).predict("x"));
    expect(error).toBeInstanceOf(EasNetworkError);
    expect([error.attempts, server.requests.length]).toEqual([1, 1]);
  });

  test.each([
    resetBeforeReading,
    resetBeforeHeaders,
    finBeforeHeaders,
    resetInHeaders,
    resetInBody,
    truncatedChunks,
    stallBeforeHeaders,
    stallInBody,
    answer(503),
    answer(429, { Connection: "close" }),
  ])("sends the whole body again after failure %#", async (behaviour) => {
    withoutBackoff();
    const server = await startServer();
    server.play(behaviour, answer(200, {}, "fine"));
    const timeout = behaviour === stallBeforeHeaders || behaviour === stallInBody ? 400 : 5000;
    const result = await clientOf(server, { timeout }).predictDetailed("body");
    expect(result.attempts).toBe(2);
    expect(result.response.toString()).toBe("fine");
    expect(result.endpoint).toBe(server.origin);
    expect(result.elapsed).toBeGreaterThanOrEqual(0);
    for (const { body } of server.requests) expect(body.toString()).toBe("body");
  });

  test("accepts a response that arrives slowly", async () => {
    const server = await startServer();
    server.play(drip("drop by drop"));
    const result = await clientOf(server).predictDetailed("x");
    expect([result.response.toString(), result.attempts, result.status]).toEqual(["drop by drop", 1, 200]);
  });

  test.each([200, 201, 202, 204, 206, 299])("treats %i as a success", async (status) => {
    const server = await startServer();
    server.always(answer(status, { "X-Tag": "t" }, status === 204 ? "" : "yes"));
    const { response, headers, ...result } = await clientOf(server).predictDetailed("x");
    expect(response.toString()).toBe(status === 204 ? "" : "yes");
    expect(headers.get("x-tag")).toBe("t");
    expect(result).toMatchObject({ status, attempts: 1, endpoint: server.origin });
  });

  test("skips informational responses", async () => {
    const server = await startServer();
    server.always(raw("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    expect((await clientOf(server).predict("x")).toString()).toBe("ok");
  });

  test("rejects with an error of parseResponse without a retry", async () => {
    withoutBackoff();
    const server = await startServer();
    const mistake = new TypeError("a mistake in my parser");
    const request: PredictRequest<never> = {
      toBinary: () => new Uint8Array(1),
      parseResponse() {
        throw mistake;
      },
    };
    expect(await errorOf(clientOf(server).predict(request))).toBe(mistake);
    expect(server.requests).toHaveLength(1);
  });

  test("rejects with a decode error of parseResponse, with the number of attempts", async () => {
    const server = await startServer();
    const request: PredictRequest<never> = {
      toBinary: () => new Uint8Array(1),
      parseResponse() {
        throw new EasDecodeError("no", { format: "own" });
      },
    };
    server.play(answer(503, { "Retry-After": "0" }));
    const error = await errorOf(clientOf(server).predict(request));
    expect(error).toMatchObject({ code: "ERR_EAS_DECODE", format: "own", attempts: 2, retryable: false });
    expect(server.requests).toHaveLength(2);
  });

  test("keeps a response that arrives before the body was read", async () => {
    const server = await startServer();
    server.always(answerEarly(413, "too big"));
    const body = new Uint8Array(8 * 1024 * 1024);
    const error = await errorOf(clientOf(server, { auth: "token" }).predict(body));
    expect(error).toMatchObject({ code: "ERR_EAS_HTTP", status: 413, attempts: 1 });
    expect(server.connections).toBe(1);
  });

  test("allows one retry in total for 504 and timeouts", async () => {
    withoutBackoff();
    const server = await startServer();
    server.always(answer(504));
    server.play(stallBeforeHeaders);
    const error = await errorOf(clientOf(server, { timeout: 400 }).predict("x"));
    expect(error).toMatchObject({ status: 504, attempts: 2 });
  });
});

describe("the retry table", () => {
  // y = yes, 1 = once, n = no, a = no with maybeAccepted or maybeTaken.
  const table: [
    row: Parameters<typeof retryDecisionOn>[1],
    predict: string,
    put: string,
    take: string,
    other: string,
  ][] = [
    ["not sent", "y", "y", "y", "y"],
    ["broken after sending", "y", "a", "a", "y"],
    ["timeout or 504", "1", "a", "a", "y"],
    ["429 or 450", "y", "y", "y", "y"],
    ["not begun", "y", "y", "y", "y"],
    ["503", "y", "a", "a", "y"],
    ["500 or 502", "y", "a", "a", "y"],
    ["408", "n", "n", "n", "y"],
    ["final", "n", "n", "n", "n"],
  ];
  const meaning: Record<string, string> = { y: "retry", 1: "once", n: "no", a: "unsure" };
  const kinds: CallKind[] = ["predict", "put", "take", "other"];

  test.each(table)("%s", (row, ...cells) => {
    expect(kinds.map((kind) => retryDecisionOn(kind, row))).toEqual(cells.map((cell) => meaning[cell]));
  });

  test.each([
    [429, "429 or 450"],
    [450, "429 or 450"],
    [500, "500 or 502"],
    [502, "500 or 502"],
    [503, "503"],
    [504, "timeout or 504"],
    [408, "408"],
    [301, "final"],
    [400, "final"],
    [401, "final"],
    [404, "final"],
    [501, "final"],
    [505, "final"],
  ])("status %i", (status, outcome) => {
    expect(outcomeOfStatus(status)).toBe(outcome);
  });
});

describe("Retry-After", () => {
  test.each([
    [null, undefined],
    ["0", 0],
    ["7", 7000],
    [" 7 ", 7000],
    ["-1", undefined],
    ["1.5", 1500],
    ["0.5", 500],
    ["0.0", 0],
    [".5", undefined],
    ["5.", undefined],
    ["5s", undefined],
    ["5, 5", undefined],
    ["999999999999999", 999_999_999_999_999_000],
    ["1234567890123456", undefined],
    ["soon", undefined],
    ["", undefined],
    ["1e3", undefined],
    ["0x10", undefined],
    ["Infinity", undefined],
    ["2025-01-06T00:00:05Z", undefined],
    ["Mon, 06 Jan 2025 00:00:05 GMT", 5000],
    ["Sun, 05 Jan 2025 00:00:05 GMT", 0],
    ["Mon, 99 Jan 2025 00:00:05 GMT", undefined],
    // RFC 850, with a year of two digits.
    ["Monday, 06-Jan-25 00:00:05 GMT", 5000],
    ["Friday, 06-Jan-95 00:00:05 GMT", 0],
    ["Monday, 06-Jan-75 00:00:00 GMT", Date.UTC(2075, 0, 6) - Date.UTC(2025, 0, 6)],
    // A year more than 50 years ahead is in the past.
    ["Monday, 06-Jan-76 00:00:00 GMT", 0],
    // asctime
    ["Mon Jan  6 00:00:05 2025", 5000],
    ["Thu Jan 16 00:00:00 2025", 864_000_000],
    ["Mon Jan  6 00:00:05 2025 GMT", undefined],
    ["Mon Jan  6 00:00:05 GMT", undefined],
    ["Mon, 06 Jan 2025 00:00:05 2025", undefined],
    ["Mon, 06 Jan-2025 00:00:05 GMT", undefined],
    ["Mon, 06 Jan 2025 00:00:05 CET", undefined],
    ["Mon, 06 Jan 2025 24:61:05 GMT", undefined],
  ])("%j", (text, expected) => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2025, 0, 6) });
    expect(retryAfterOf(text)).toBe(expected);
  });

  test.each([
    ["IMF-fixdate", "Mon, 06 Jan 2025 12:10:30 GMT", "Mon, 06 Jan 2025 12:10:00 GMT", 30_000],
    ["RFC 850", "Monday, 06-Jan-25 12:10:30 GMT", "Mon, 06 Jan 2025 12:10:00 GMT", 30_000],
    ["asctime", "Mon Jan  6 12:10:30 2025", "Mon Jan  6 12:10:00 2025", 30_000],
    ["before the response's own date", "Mon, 06 Jan 2025 12:09:30 GMT", "Mon, 06 Jan 2025 12:10:00 GMT", 0],
    ["seconds need no date", "30", "Mon, 06 Jan 1999 12:10:00 GMT", 30_000],
  ])("is relative to the Date of the response: %s", (_, value, date, expected) => {
    for (const ahead of [-600_000, 0, 600_000]) {
      vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2025, 0, 6, 12, 10) + ahead });
      expect(retryAfterOf(value, date)).toBe(expected);
    }
  });

  test("ignores an invalid Date", () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2025, 0, 6) });
    expect(retryAfterOf("Mon, 06 Jan 2025 00:00:05 GMT", "yesterday")).toBe(5000);
  });

  test.each([["0"], ["0.5"], ["Mon, 06 Jan 2020 00:00:00 GMT"], ["Monday, 06-Jan-20 00:00:00 GMT"]])(
    "%s: no retry comes before its backoff",
    async (header) => {
      const server = await startServer();
      server.always(answer(429, { "Retry-After": header, Date: new Date().toUTCString() }));
      const delays: number[] = [];
      const client = clientOf(server, { hooks: { retry: ({ delay }) => void delays.push(delay) } });
      vi.spyOn(Math, "random").mockReturnValue(0.5);
      expect(await errorOf(client.predict("x"))).toMatchObject({ status: 429, attempts: 6 });
      const asked = header === "0.5" ? 650 : 0;
      expect(delays).toEqual([25, 50, 100, 200, 400].map((least) => Math.max(least, asked)));
      const at = server.requests.map((request) => request.at);
      // The server saw the waits. Timers may be a millisecond early.
      for (const [i, delay] of delays.entries()) {
        expect((at[i + 1] as number) - (at[i] as number)).toBeGreaterThanOrEqual(delay - 2);
      }
    },
  );

  test("spreads 400 clients over at least half of the requested time, and none earlier", () => {
    const waits = Array.from({ length: 400 }, () => requestedWait(30_000, 0));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(30_000);
    expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThanOrEqual(15_000);
    // Evenly: each eighth of the time has some of them.
    for (let eighth = 0; eighth < 8; eighth++) {
      const from = 30_000 + (eighth * 18_000) / 8;
      expect(waits.filter((wait) => wait >= from && wait < from + 18_000 / 8).length).toBeGreaterThan(15);
    }
  });

  test("spreads 400 clients of one server over at least half of the requested time", async () => {
    const server = await startServer();
    server.play(...Array(400).fill(answer(429, { "Retry-After": "1" })));
    const clients = Array.from({ length: 400 }, () => clientOf(server, { maxConnectionCount: 1 }));
    await Promise.all(clients.map((client) => client.predict("x")));
    expect(server.requests).toHaveLength(800);
    const back = server.requests.slice(400).map(({ at }) => at);
    expect(Math.max(...back) - Math.min(...back)).toBeGreaterThanOrEqual(500);
    const refused = server.requests.slice(0, 400).map(({ at }) => at);
    // No client was early, measured from the first 429.
    expect(Math.min(...back) - Math.min(...refused)).toBeGreaterThanOrEqual(998);
  });

  test("leaves time for the attempt after the jitter", () => {
    const waits = Array.from({ length: 400 }, () => requestedWait(1_000, 0, 1_100));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(1_000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(1_050);
  });

  // The sockets are real and the timers are fake: a wait of the client shows as a timer.
  async function waits(header: string | undefined, expected: number, options = {}): Promise<void> {
    const server = await startServer();
    server.play(answer(503, header === undefined ? {} : { "Retry-After": header }));
    const client = clientOf(server, options);
    await client.init();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"], now: Date.UTC(2025, 0, 6) });
    const timers = vi.spyOn(globalThis, "setTimeout");
    const result = client.predictDetailed("x");
    await until(() => timers.mock.calls.some(([, delay]) => delay === expected));
    vi.advanceTimersByTime(expected - 1);
    for (let i = 0; i < 5; i++) await turn();
    expect(server.requests).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect((await result).attempts).toBe(2);
    expect(server.requests).toHaveLength(2);
  }

  test("waits for seconds", () => {
    withoutBackoff();
    return waits("3", 3000);
  });
  test("waits for an HTTP date", () => {
    withoutBackoff();
    return waits("Mon, 06 Jan 2025 00:00:04 GMT", 4000);
  });
  test("waits for 60 s", () => {
    withoutBackoff();
    return waits("60", 60_000, { totalTimeout: 120_000 });
  });
  test("backs off with a malformed header", () => {
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    return waits("soon", 25);
  });
  test("backs off without the header", () => {
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    return waits(undefined, 25);
  });

  test("waits one second on a real clock", async () => {
    const server = await startServer();
    server.play(answer(429, { "Retry-After": "1" }));
    await clientOf(server).predict("x");
    const [first, second] = server.requests.map(({ at }) => at) as [number, number];
    // Timers may be a millisecond early.
    expect(second - first).toBeGreaterThanOrEqual(998);
  });

  test.each(["61", "86400", "999999999999999"])(
    "fails at once for %s s, and the error has retryAfter",
    async (seconds) => {
      const server = await startServer();
      server.always(answer(503, { "Retry-After": seconds }));
      const error = await errorOf(clientOf(server, { totalTimeout: 2_000_000_000 }).predict("x"));
      expect(error).toMatchObject({ status: 503, attempts: 1, retryable: true, retryAfter: Number(seconds) * 1000 });
      expect(server.requests).toHaveLength(1);
    },
  );

  test("is on the error even without a retry", async () => {
    const server = await startServer();
    server.always(answer(400, { "Retry-After": "2", "X-Request-Id": "r-1" }));
    expect(await errorOf(clientOf(server).predict("x"))).toMatchObject({ retryAfter: 2000, requestId: "r-1" });
  });
});

describe("limits on retries", () => {
  test("doubles the backoff from 50 ms to at most 2 s, with full jitter", () => {
    const random = vi.spyOn(Math, "random");
    const limits = [50, 100, 200, 400, 800, 1600, 2000, 2000];
    random.mockReturnValue(1);
    expect(limits.map((_, retry) => backoff(retry))).toEqual(limits);
    expect(backoff(2000)).toBe(2000);
    random.mockReturnValue(0);
    expect(backoff(3)).toBe(0);
  });

  test("retries at once after a connection broke before the response, and then backs off", async () => {
    const server = await startServer();
    const client = clientOf(server);
    await client.init();
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    // Timers do not advance, so only calls that wait for no timer succeed.
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    for (const behaviour of [resetBeforeHeaders, finBeforeHeaders]) {
      server.play(behaviour);
      expect((await client.predictDetailed("x")).attempts).toBe(2);
    }
    const timers = vi.spyOn(globalThis, "setTimeout");
    server.play(resetBeforeHeaders, resetBeforeHeaders);
    const twice = client.predictDetailed("x");
    await until(() => timers.mock.calls.some(([, delay]) => delay === 50));
    vi.advanceTimersByTime(50);
    expect((await twice).attempts).toBe(3);
  });

  test("backs off after a partial response or a refused connection", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const server = await startServer();
    const timers = vi.spyOn(globalThis, "setTimeout");
    server.play(resetInBody);
    const result = clientOf(server).predictDetailed("x");
    await until(() => timers.mock.calls.some(([, delay]) => delay === 25));
    vi.advanceTimersByTime(25);
    expect((await result).attempts).toBe(2);

    timers.mockClear();
    const refused = errorOf(clientOf({ origin: await refusedOrigin() }, { retryCount: 1 }).predict("x"));
    await until(() => timers.mock.calls.some(([, delay]) => delay === 25));
    vi.advanceTimersByTime(25);
    expect((await refused).attempts).toBe(2);
  });

  test("makes one request with retryCount 0; the call's value overrides the client's", async () => {
    withoutBackoff();
    const server = await startServer();
    server.always(answer(503));
    const client = clientOf(server, { retryCount: 0 });
    expect(await errorOf(client.predict("x"))).toMatchObject({ status: 503, attempts: 1, retryable: true });
    expect(await errorOf(client.predict("x", { retryCount: 2 }))).toMatchObject({ attempts: 3 });
    expect(await errorOf(client.setRetryCount(1).predict("x"))).toMatchObject({ attempts: 2 });
    expect(server.requests).toHaveLength(6);
  });

  test("makes 5 retries by default", async () => {
    withoutBackoff();
    const server = await startServer();
    server.always(answer(503));
    expect(await errorOf(clientOf(server).predict("x"))).toMatchObject({ attempts: 6 });
    expect(server.requests).toHaveLength(6);
  });

  test("retryOn overrides the retry table with true and false, but not with undefined", async () => {
    withoutBackoff();
    const server = await startServer();
    const seen: [number | undefined, number][] = [];
    const client = clientOf(server, {
      retryCount: 2,
      retryOn(error, attempt) {
        seen.push([error instanceof EasHttpError ? error.status : undefined, attempt]);
        if (!(error instanceof EasHttpError)) return undefined;
        return error.status === 404 ? true : error.status === 503 ? false : undefined;
      },
    });
    server.always(answer(404));
    expect(await errorOf(client.predict("x"))).toMatchObject({ status: 404, attempts: 3 });
    server.always(answer(503));
    expect(await errorOf(client.predict("x"))).toMatchObject({ status: 503, attempts: 1 });
    server.always(answer(500));
    expect(await errorOf(client.predict("x"))).toMatchObject({ status: 500, attempts: 3 });
    server.always(answer(400));
    expect(await errorOf(client.predict("x"))).toMatchObject({ status: 400, attempts: 1 });
    expect(seen).toEqual([
      ...[1, 2, 3].map((attempt) => [404, attempt]),
      [503, 1],
      ...[1, 2, 3].map((attempt) => [500, attempt]),
      [400, 1],
    ]);
    // The retryOn of a call overrides that of the client, and may retry a timeout more than once.
    server.always(stallBeforeHeaders);
    const error = await errorOf(client.predict("x", { timeout: 30, retryOn: () => true }));
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", attempts: 3 });
  });

  test("rejects with an error that retryOn throws", async () => {
    const server = await startServer();
    server.always(answer(503));
    const mistake = new Error("my own");
    const retryOn = () => {
      throw mistake;
    };
    expect(await errorOf(clientOf(server, { retryOn }).predict("x"))).toBe(mistake);
    expect(server.requests).toHaveLength(1);
  });

  test("the retry budget allows 100 retries, and one more after four successes", async () => {
    withoutBackoff();
    const server = await startServer();
    const failing = answer(503, { "Retry-After": "0" });
    server.always(failing);
    const client = clientOf(server, { retryCount: 1000 });
    expect(await errorOf(client.predict("x"))).toMatchObject({ status: 503, attempts: 101, retryable: true });
    expect(server.requests).toHaveLength(101);
    // It is one budget for all services of the pool.
    expect(await errorOf(client.service("other").predict("x"))).toMatchObject({ attempts: 1 });
    server.always(answer(200));
    for (let i = 0; i < 3; i++) await client.predict("x");
    server.always(failing);
    expect(await errorOf(client.predict("x"))).toMatchObject({ attempts: 1 });
    server.always(answer(200));
    await client.predict("x");
    server.always(failing);
    expect(await errorOf(client.predict("x"))).toMatchObject({ attempts: 2 });
  });

  test("the retry budget does not grow above 100", async () => {
    withoutBackoff();
    const server = await startServer();
    const client = clientOf(server, { retryCount: 1000 });
    for (let i = 0; i < 20; i++) await client.predict("x");
    server.always(answer(503, { "Retry-After": "0" }));
    expect(await errorOf(client.predict("x"))).toMatchObject({ attempts: 101 });
  });

  test("counts retries of requests that were not sent, and the first one as half", async () => {
    withoutBackoff();
    const transport = new RecordingTransport(() => {
      throw new TransportError("refused", { sent: "no", systemCode: "ECONNREFUSED" });
    });
    const client = clientOf({ origin: "http://host" }, { retryCount: 20, transport });
    const attempts: unknown[] = [];
    for (let i = 0; i < 8; i++) {
      const error = await errorOf(client.predict("x"));
      expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", retryable: true });
      attempts.push(error.attempts);
    }
    // 19.5 tokens each, until the budget is empty.
    expect(attempts).toEqual([21, 21, 21, 21, 21, 4, 1, 1]);
  });

  test.each([
    ["500", transportAnswer(500), "ERR_EAS_HTTP"],
    ["503", transportAnswer(503, {}, "busy"), "ERR_EAS_HTTP"],
    ["429", transportAnswer(429, { "retry-after": "0" }), "ERR_EAS_HTTP"],
    ["reset", new TransportError("reset", { sent: "maybe", systemCode: "ECONNRESET" }), "ERR_EAS_NETWORK"],
    ["refused", new TransportError("refused", { sent: "no", systemCode: "ECONNREFUSED" }), "ERR_EAS_NETWORK"],
    ["no such host", new TransportError("not found", { sent: "no", systemCode: "ENOTFOUND" }), "ERR_EAS_NETWORK"],
  ])("1,000 calls at once against %s: at most 1.2 attempts a call", async (_, outcome, code) => {
    withoutBackoff();
    const transport = new RecordingTransport(() => {
      if (outcome instanceof Error) throw outcome;
      return outcome;
    });
    const client = clientOf({ origin: "http://host" }, { transport });
    const errors = await Promise.all(Array.from({ length: 1000 }, () => errorOf(client.predict("x"))));
    for (const error of errors) expect(error).toMatchObject({ code, retryable: true });
    expect(transport.requests.length).toBeGreaterThan(1_000);
    expect(transport.requests.length).toBeLessThanOrEqual(1_200);
    const before = transport.requests.length;
    for (let i = 0; i < 100; i++) await errorOf(client.predict("x"));
    // The budget is empty.
    expect(transport.requests.length).toBe(before + 100);
  });

  test("reaches a port that opens during the retries", async () => {
    withoutBackoff();
    const { port, origin } = await MisbehavingServer.start().then(async (server) => {
      const { port, origin } = server;
      await server.close();
      return { port, origin };
    });
    let server: MisbehavingServer | undefined;
    let token = 0;
    const client = clientOf(
      { origin },
      {
        auth: "token",
        // Called before each attempt: the third attempt finds a server.
        token: async () => {
          if (++token === 3) server = await MisbehavingServer.start(port);
          return "t";
        },
      },
    );
    const { attempts } = await client.predictDetailed("x");
    expect([attempts, server?.requests.length]).toEqual([3, 1]);
    await server?.close();
  });

  test("starts no attempt after totalTimeout", async () => {
    const server = await startServer();
    server.always(answer(503, { "Retry-After": "30" }));
    const error = await errorOf(clientOf(server, { totalTimeout: 20_000 }).predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_HTTP", status: 503, attempts: 1, retryAfter: 30_000 });
    expect(server.requests).toHaveLength(1);
  });

  test("ends the last attempt at totalTimeout, and the error says so", async () => {
    const server = await startServer();
    server.play(answer(503, { "Retry-After": "0" }), stallBeforeHeaders);
    const error = await errorOf(clientOf(server, { timeout: 10_000, totalTimeout: 600 }).predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "total", timeout: 600, attempts: 2 });
  });

  test("a client of service() retries on the same connections", async () => {
    const server = await startServer();
    const client = clientOf(server, { maxConnectionCount: 1 });
    await client.predict("x");
    await client.service("other").predict("x");
    expect(server.connections).toBe(1);
    expect(server.requests.map(({ path }) => path)).toEqual(["/api/predict/svc", "/api/predict/other"]);
  });
});
