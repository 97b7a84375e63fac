import { once } from "node:events";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import {
  type Cassette,
  createEmulator,
  loadCassette,
  type Recorder,
  type RecorderOptions,
  startEmulator,
  startRecorder,
} from "../../../../src/emulator/index.js";
import { PredictClient } from "../../../../src/index.js";
import { errorOf } from "../../../support/calls.js";
import { allBytes, sendRaw, temporaryDirectory } from "../../../support/cassettes.js";

const SECRET = "tok/en+with=odd chars&1234567890";

/** Starts a server on loopback that is closed when the test ends. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function record(target: string, options: Partial<RecorderOptions> = {}): Promise<Recorder> {
  const recorder = await startRecorder({ target, ...options });
  onTestFinished(() => recorder.close());
  return recorder;
}

/** Returns the response body of an interaction as text. */
function bodyOf({ interactions, bodies }: Cassette, index: number): string {
  const file = interactions[index]?.response?.body;
  return new TextDecoder().decode(bodies[file as string] as Uint8Array);
}

describe("secrets", () => {
  /** The forms in which a service may return the token. */
  const forms: readonly [string, (token: string) => string][] = [
    ["plain", (token) => token],
    ["percent-encoded", encodeURIComponent],
    ["in JSON", (token) => JSON.stringify({ token })],
    ["in JSON with escaped slashes", (token) => JSON.stringify({ token }).replaceAll("/", "\\/")],
    ["in base64", (token) => btoa(token)],
    ["in base64 after 1 byte", (token) => btoa(`x${token}y`)],
    ["in base64 after 2 bytes", (token) => btoa(`xx${token}yy`)],
    ["in base64url", (token) => Buffer.from(`xx${token}`).toString("base64url")],
    ["in hexadecimal", (token) => Buffer.from(token).toString("hex")],
  ];
  /** All encodings of a token without the ends that depend on its surroundings. */
  const traces = forms.map(([, form]) => form(SECRET).slice(6, -6));

  test.each(forms)(
    "removes a token that the service returns %s, also when it is split into chunks",
    async (_, form) => {
      const text = `before ${form(SECRET)} after`;
      const target = await serve(async (request, response) => {
        response.setHeader("x-echo", form(SECRET).replaceAll("\n", " "));
        for (const character of text) {
          response.write(character);
          await new Promise((resolve) => setImmediate(resolve));
        }
        response.end();
        request.resume();
      });
      const directory = await temporaryDirectory();
      const recorder = await record(target, { directory });
      const headers = { authorization: SECRET };
      const response = await sendRaw(recorder.endpoint, { path: `/?token=${encodeURIComponent(SECRET)}`, headers });
      expect(response.body.toString()).toBe(text);
      await recorder.close();
      const written = await allBytes(directory);
      for (const trace of traces) expect(written).not.toContain(trace);
      const cassette = await loadCassette(directory);
      expect(bodyOf(cassette, 0)).toMatch(/^before .*\*{10,}.* after$/);
      expect(bodyOf(cassette, 0)).toHaveLength(text.length);
      expect(cassette.interactions[0]?.request.url).toBe("/?token=REDACTED");
    },
  );

  test("records no credentials of requests and no cookies", async () => {
    const target = await serve((request, response) => {
      request.resume();
      response.setHeader("set-cookie", ["session=cookie-secret-1; Path=/", "b=2"]);
      response.setHeader("x-auth-token", "fresh-token-1");
      response.end("ok");
    });
    const directory = await temporaryDirectory();
    const recorder = await record(target, { directory, secrets: ["signing-secret"] });
    await sendRaw(recorder.endpoint, {
      path: "/a?x=1&Signature=query-secret-1&access_token=query-secret-2&note=signing-secret",
      headers: {
        authorization: "EAS c2lnbmF0dXJlLW9mLXRlc3Q=",
        "proxy-authorization": "Basic cHJveHk6cGFzcw==",
        cookie: "id=cookie-secret-2",
        "x-api-key": "key-secret-1",
        "content-type": "text/plain",
      },
      body: "my key-secret-1 and signing-secret",
    });
    await recorder.close();
    const written = await allBytes(directory);
    for (const secret of ["secret-", "signing-secret", "c2lnbmF0", "cHJveHk", "fresh-token"]) {
      expect(written).not.toContain(secret);
    }
    const { interactions } = await loadCassette(directory);
    expect(interactions[0]?.request).toMatchObject({
      url: "/a?x=1&Signature=REDACTED&access_token=REDACTED&note=REDACTED",
      headers: [["content-type", "text/plain"]],
    });
    // Another key matches too, because both are replaced with the same text.
    const emulator = createEmulator({ cassettes: await loadCassette(directory), replay: { secrets: ["own"] } });
    const url = "http://emulator/a?Signature=other&x=1&access_token=x&note=REDACTED";
    const init = { method: "POST", headers: { "x-api-key": "another" }, body: "my another and REDACTED" };
    expect((await emulator.fetch(new Request(url, init))).status).toBe(200);
  });

  test("does not keep the start of a token when the service breaks the connection within it", async () => {
    const target = await serve((request, response) => {
      request.resume();
      response.write(SECRET.slice(0, -1), () => response.destroy());
    });
    const directory = await temporaryDirectory();
    const recorder = await record(target, { directory });
    await errorOf(sendRaw(recorder.endpoint, { path: "/", headers: { authorization: SECRET } }));
    await recorder.close();
    expect(await allBytes(directory)).not.toContain(SECRET.slice(0, 8));
  });

  test.each([["gzip", gzipSync]] as const)(
    "does not record a response with a token in %s",
    async (encoding, compress) => {
      const target = await serve((request, response) => {
        const isSecret = request.url === "/secret";
        response.setHeader("content-encoding", encoding);
        response.end(compress(isSecret ? `x${SECRET}` : "nothing to hide"));
        request.resume();
      });
      const recorder = await record(target);
      const headers = { authorization: SECRET };
      await sendRaw(recorder.endpoint, { path: "/secret", headers });
      await sendRaw(recorder.endpoint, { path: "/public", headers });
      await recorder.close();
      expect(recorder.warnings).toEqual(["POST /secret was not recorded: the compressed response contains a secret"]);
      expect((await recorder.cassette()).interactions.map(({ request }) => request.url)).toEqual(["/public"]);
    },
  );

  test("removes a token from messages of WebSockets", async () => {
    const echo = (_: unknown, socket: any) => {
      socket.onMessage = (message: string) => socket.send(`you sent ${message}`);
    };
    const emulator = await startEmulator({ token: SECRET, services: { talk: { handle: () => "", socket: echo } } });
    onTestFinished(() => emulator.close());
    const directory = await temporaryDirectory();
    const recorder = await emulator.record({ directory });
    await using client = new PredictClient({ endpoint: recorder.endpoint, serviceName: "talk", token: SECRET });
    const socket = await client.connect();
    socket.send(`token ${SECRET}`);
    for await (const message of socket) {
      expect(message).toBe(`you sent token ${SECRET}`);
      break;
    }
    await emulator.close();
    expect(await allBytes(directory)).not.toContain(SECRET);
    expect(recorder.warnings).toEqual([]);
    expect((await loadCassette(directory)).interactions).toHaveLength(1);
  });
});

describe("the target", () => {
  test("responds with 502 and records nothing when the target cannot be reached", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const recorder = await record(`http://127.0.0.1:${port}`);
    const response = await sendRaw(recorder.endpoint, { path: "/a", body: "x" });
    expect([response.status, response.body.toString()]).toEqual([
      502,
      expect.stringMatching(/^recorder: the target cannot be reached: .*ECONNREFUSED/),
    ]);
    const socket = new WebSocket(recorder.endpoint.replace("http", "ws"));
    const [, refusal] = await once(socket, "unexpected-response");
    socket.on("error", () => {});
    expect(refusal.statusCode).toBe(502);
    await recorder.close();
    expect(recorder.warnings).toHaveLength(2);
    expect((await recorder.cassette()).interactions).toEqual([]);
  });

  test("passes redirects on, and makes those within the target relative", async () => {
    const target = await serve((request, response) => {
      request.resume();
      const location = { "/base/own": `${target}/base/next?x=1`, "/base/other": "https://example.com/" }[
        request.url ?? ""
      ];
      response.writeHead(302, { location }).end();
    });
    const recorder = await record(`${target}/base/`);
    const own = await sendRaw(recorder.endpoint, { path: "/own" });
    const other = await sendRaw(recorder.endpoint, { path: "/other" });
    expect([own.status, own.headers.location]).toEqual([302, "/next?x=1"]);
    expect([other.status, other.headers.location]).toEqual([302, "https://example.com/"]);
    const { interactions } = await recorder.cassette();
    expect(interactions.map(({ request }) => request.url)).toEqual(["/own", "/other"]);
    expect(interactions[0]?.response?.headers).toContainEqual(["location", "/next?x=1"]);
  });

  test("removes secrets from the query of a redirect", async () => {
    const target = await serve((request, response) => {
      request.resume();
      response.writeHead(302, { location: "https://bucket.example.com/a.png?Signature=signed-1&Expires=5" }).end();
    });
    const recorder = await record(target);
    const { headers } = await sendRaw(recorder.endpoint, { path: "/a" });
    expect(headers.location).toContain("Signature=signed-1");
    const { interactions } = await recorder.cassette();
    expect(interactions[0]?.response?.headers).toContainEqual([
      "location",
      "https://bucket.example.com/a.png?Signature=REDACTED&Expires=5",
    ]);
  });

  test.each([101, 600, 999])("responds with 502 instead of status %d, which cannot be replayed", async (status) => {
    const target = await serve((request) => request.socket.end(`HTTP/1.1 ${status} Odd\r\ncontent-length: 0\r\n\r\n`));
    const recorder = await record(target);
    const response = await sendRaw(recorder.endpoint, { path: "/a", body: "x" });
    expect([response.status, response.body.toString()]).toEqual([
      502,
      `recorder: the target responded with status ${status}, which cannot be replayed`,
    ]);
    await recorder.close();
    expect(recorder.warnings).toEqual([
      `POST /a was not recorded: the target responded with status ${status}, which cannot be replayed`,
    ]);
    expect(createEmulator({ cassettes: await recorder.cassette() }).requests).toEqual([]);
  });

  test("records and replays a connection that the service breaks before the headers and within the body", async () => {
    const target = await serve((request, response) => {
      request.resume();
      if (request.url === "/head") (request.socket as Socket).resetAndDestroy();
      else response.write("some", () => request.socket.destroy());
    });
    const recorder = await record(target);
    for (const path of ["/head", "/body"]) await errorOf(sendRaw(recorder.endpoint, { path, body: "x" }));
    await recorder.close();
    const cassettes = await recorder.cassette();
    expect(cassettes.interactions.map(({ broken, response }) => broken ?? response?.end)).toEqual([true, "broken"]);
    const emulator = createEmulator({ cassettes });
    const fetch = (path: string) => emulator.fetch(new Request(`http://x${path}`, { method: "POST", body: "x" }));
    await expect(fetch("/head")).rejects.toThrow("connection reset");
    const response = await fetch("/body");
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("some");
    await expect(reader.read()).rejects.toThrow("connection reset");
  });

  test("records a stream that the client leaves, and ends the request to the target", async () => {
    let onLeft: () => void = () => {};
    const left = new Promise<void>((resolve) => {
      onLeft = resolve;
    });
    const target = await serve((request, response) => {
      request.resume();
      response.write("first");
      response.once("close", onLeft);
    });
    const recorder = await record(target);
    const response = await fetch(recorder.endpoint, { method: "POST", body: "x" });
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await left;
    await recorder.close();
    const cassette = await recorder.cassette();
    expect(cassette.interactions[0]?.response).toMatchObject({ end: "canceled", chunks: [[expect.any(Number), 5]] });
  });

  test("close() ends a response in progress, which is recorded as canceled", async () => {
    const target = await serve((request, response) => {
      request.resume();
      response.write("first");
    });
    const directory = await temporaryDirectory();
    const recorder = await record(target, { directory });
    const response = await fetch(recorder.endpoint, { method: "POST", body: "x" });
    const reader = response.body?.getReader();
    await reader?.read();
    await recorder.close();
    await expect(reader?.read()).rejects.toThrow();
    const { interactions } = await loadCassette(directory);
    expect(interactions.map(({ response }) => response?.end)).toEqual(["canceled"]);
    expect((await readdir(`${directory}/bodies`)).filter((file) => file.endsWith(".part"))).toEqual([]);
  });

  test("refuses requests with the host name of a web page", async () => {
    const recorder = await record("http://127.0.0.1:1");
    const response = await sendRaw(recorder.endpoint, { path: "/", headers: { host: "page.example" } });
    expect(response.status).toBe(403);
  });

  test("records the refusal of a WebSocket", async () => {
    const emulator = await startEmulator();
    onTestFinished(() => emulator.close());
    const recorder = await emulator.record();
    const socket = new WebSocket(`${recorder.endpoint.replace("http", "ws")}/api/predict/none`);
    socket.on("error", () => {});
    const [, refusal] = await once(socket, "unexpected-response");
    expect(refusal.statusCode).toBe(404);
    await recorder.close();
    const { interactions } = await recorder.cassette();
    expect(interactions[0]).toMatchObject({ request: { upgrade: true }, response: { status: 404 } });
  });

  test.each([
    ["whole", {}, { end: "complete" }],
    ["cut at maxBodyBytes", { maxBodyBytes: 3 }, { end: "cut", chunks: undefined }],
  ])("passes on the refusal of a WebSocket by a server of Node, and records it %s", async (_, options, recorded) => {
    const target = await serve((_request, response) => response.writeHead(403, { "Content-Length": 6 }).end("denied"));
    const recorder = await record(target, options);
    const socket = new WebSocket(recorder.endpoint.replace("http", "ws"));
    const failed = once(socket, "error");
    socket.on("error", () => {});
    const [refusal] = await Promise.race([
      once(socket, "unexpected-response").then(([, response]) => [response]),
      failed,
    ]);
    expect(refusal).toMatchObject({ statusCode: 403, headers: { "content-length": "6" } });
    refusal.destroy();
    await recorder.close();
    const cassettes = await recorder.cassette();
    expect(cassettes.interactions[0]?.response).toMatchObject(recorded);
    expect(() => createEmulator({ cassettes })).not.toThrow();
  });

  test("passes pings on, and the close code and reason", async () => {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await once(server, "listening");
    onTestFinished(() => server.close());
    server.on("connection", (socket) => socket.on("ping", (data) => socket.close(4321, `pinged ${data}`)));
    const recorder = await record(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const socket = new WebSocket(recorder.endpoint.replace("http", "ws"));
    await once(socket, "open");
    socket.ping("hello");
    const [code, reason] = await once(socket, "close");
    expect([code, String(reason)]).toEqual([4321, "pinged hello"]);
    await recorder.close();
    const { interactions } = await recorder.cassette();
    expect(interactions[0]?.socket?.close).toEqual({ code: 4321, reason: "pinged hello", by: "service" });
  });
});

describe("limits", () => {
  test("cuts a response at maxBodyBytes, sends all of it to the client, and warns", async () => {
    const target = await serve((request, response) => {
      request.resume();
      response.write("x".repeat(1000), () => setImmediate(() => response.end("y".repeat(1000))));
    });
    for (const directory of [undefined, await temporaryDirectory()]) {
      const recorder = await record(target, { maxBodyBytes: 1500, directory });
      const { body } = await sendRaw(recorder.endpoint, { path: "/" });
      expect(body).toHaveLength(2000);
      await recorder.close();
      expect(recorder.warnings).toEqual([expect.stringMatching("was cut, because it exceeds a recorder limit")]);
      const cassettes = await recorder.cassette();
      expect(cassettes.interactions[0]?.response?.end).toBe("cut");
      const response = await createEmulator({ cassettes }).fetch(new Request("http://x/", { method: "POST" }));
      await expect(response.text()).rejects.toThrow("connection reset");
    }
  });

  test("does not record a request with a larger body", async () => {
    const target = await serve((request, response) => void request.resume().on("end", () => response.end("ok")));
    const directory = await temporaryDirectory();
    const recorder = await record(target, { maxBodyBytes: 10, directory });
    expect((await sendRaw(recorder.endpoint, { path: "/", body: "x".repeat(11) })).status).toBe(200);
    await recorder.close();
    expect(recorder.warnings).toEqual(["POST / was not recorded: the request body exceeds a recorder limit"]);
    expect(await readdir(`${directory}/bodies`)).toEqual([".gitattributes"]);
  });
});

describe("the directory", () => {
  const target = "http://127.0.0.1:1";

  test("is used by one recorder at a time", async () => {
    const directory = await temporaryDirectory();
    const recorder = await record(target, { directory });
    const error = await errorOf(startRecorder({ target, directory, overwrite: true }));
    expect(error.message).toMatch(`process ${process.pid} records into it`);
    await recorder.close();
    await (await record(target, { directory, overwrite: true })).close();
  });

  test("is taken over from a process that has ended", async () => {
    const directory = await temporaryDirectory();
    // The maximum process ID of Linux is 2^22.
    await writeFile(`${directory}/recorder.lock`, String(2 ** 30));
    await (await record(target, { directory })).close();
    expect(await readdir(directory)).toEqual(["bodies", "cassette.json"]);
  });

  test("keeps its cassette unless overwrite is set, which also removes unused bodies", async () => {
    const echo = await serve((request, response) => void request.pipe(response));
    const directory = await temporaryDirectory();
    const record2 = async (body: string, overwrite: boolean) => {
      const recorder = await record(echo, { directory, overwrite });
      await sendRaw(recorder.endpoint, { path: "/", body });
      await recorder.close();
    };
    await record2("one", false);
    const error = await errorOf(startRecorder({ target, directory }));
    expect(error.message).toMatch("it contains a cassette. Set overwrite to replace the cassette.");
    await writeFile(`${directory}/bodies/notes.txt`, "not a body");
    await record2("two", true);
    const files = (await readdir(`${directory}/bodies`)).sort();
    expect(files).toEqual([".gitattributes", expect.stringMatching(/^[0-9a-f]{64}\.bin$/), "notes.txt"]);
  });

  test("has a readable index without times of the clock, and bodies with file extensions", async () => {
    const json = await serve((request, response) => {
      request.resume();
      response.setHeader("content-type", "application/json");
      response.end("{}");
    });
    const directory = `${await temporaryDirectory()}/new/folder`;
    const recorder = await record(json, { directory });
    await sendRaw(recorder.endpoint, { path: "/", body: "a" });
    await recorder.close();
    const index = (await readFile(`${directory}/cassette.json`, "utf8")).replace(/"delay": \d+|\[\d+, 2\]/g, "N");
    expect(index).toBe(`{
  "format": "eas-prediction-cassette",
  "version": 1,
  "interactions": [
    {
      "request": {
        "method": "POST",
        "url": "/",
        "body": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb.bin"
      },
      "response": {
        "status": 200,
        "statusText": "OK",
        "headers": [
          ["content-type", "application/json"],
          ["content-length", "2"]
        ],
        N,
        "body": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a.json",
        "chunks": [
          N
        ],
        "end": "complete"
      }
    }
  ]
}
`);
  });

  test("has an index with the ended interactions when the recorder is killed", async () => {
    const echo = await serve((request, response) => void request.pipe(response));
    const directory = await temporaryDirectory();
    const recorder = await record(echo, { directory });
    await sendRaw(recorder.endpoint, { path: "/", body: "one" });
    // The index is written without `close`.
    await expect.poll(async () => (await loadCassette(directory)).interactions.length, { timeout: 30_000 }).toBe(1);
  });

  test("forwards everything if the storage fails, and warns", async () => {
    const target = await serve((request, response) => request.pipe(response));
    const directory = await temporaryDirectory();
    const recorder = await record(target, { directory });
    await rm(`${directory}/bodies`, { recursive: true });
    const response = await sendRaw(recorder.endpoint, { path: "/a", body: "hello" });
    expect([response.status, response.body.toString()]).toEqual([200, "hello"]);
    await mkdir(`${directory}/bodies`);
    await recorder.close();
    expect(recorder.warnings).toEqual([
      expect.stringMatching(/^POST \/a: the response body was cut, because it could not be stored: ENOENT/),
      expect.stringMatching(/^POST \/a was not recorded: the request body could not be stored: ENOENT/),
    ]);
    expect((await recorder.cassette()).interactions).toEqual([]);
  });

  test("reports a directory that cannot be created", async () => {
    const directory = await temporaryDirectory();
    await writeFile(`${directory}/file`, "");
    await expect(startRecorder({ target, directory: `${directory}/file` })).rejects.toThrow(/ENOTDIR|EEXIST/);
    await mkdir(`${directory}/free`);
  });
});

test.each<[string, Record<string, unknown>, RegExp]>([
  ["target", {}, /^target is undefined: it must be an HTTP or HTTPS URL without a query$/],
  ["target", { target: "ftp://x" }, /^target is "ftp:\/\/x": it must be an HTTP/],
  ["target", { target: "http://x/?token=secret" }, /^target is "http:\/\/x\/\?…": it must/],
  ["target", { target: "http://user:secret@x" }, /^target has a user name or password/],
  ["directory", { target: "http://x", directory: "" }, /^directory is "": it must be the path/],
  ["maxBodyBytes", { target: "http://x", maxBodyBytes: -1 }, /^maxBodyBytes is -1: it must/],
  ["secrets", { target: "http://x", secrets: "abc" }, /^secrets is "abc": it must be a list/],
  ["a misspelled option", { target: "http://x", dir: "" }, /did you mean directory/],
])("rejects an invalid value of %s", async (_, options, message) => {
  const error = await errorOf(startRecorder(options as never));
  expect(error.message).toMatch(message);
  expect(error.message).not.toContain("secret@");
});
