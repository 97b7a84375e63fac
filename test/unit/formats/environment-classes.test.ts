import { afterEach, expect, test, vi } from "vitest";
import { createEmulator } from "../../../src/emulator/index.js";
import { fetchTransport, PredictClient, QueueClient } from "../../../src/index.js";
import { errorOf } from "../../support/calls.js";

// Environments such as jsdom and happy-dom replace web classes. Their gaps are reproduced here by classes without the
// missing members.

afterEach(() => {
  vi.unstubAllGlobals();
});

/** A `Blob` with neither `arrayBuffer()` nor `stream()`, as jsdom 26 has. */
class BlobOfJsdom {
  readonly [Symbol.toStringTag]: string = "Blob";
  readonly type: string;
  readonly content: string;
  constructor(content: string, type = "") {
    this.content = content;
    this.type = type;
  }
  get size(): number {
    return this.content.length;
  }
  slice(): this {
    return this;
  }
}

/** A file of a form. */
class FileOfJsdom extends BlobOfJsdom {
  override readonly [Symbol.toStringTag] = "File";
  readonly name = "a.png";
}

class FileReaderOfJsdom {
  result: ArrayBuffer | null = null;
  error: Error | null = null;
  onload: (() => void) | undefined;
  onerror: (() => void) | undefined;
  readAsArrayBuffer({ content }: BlobOfJsdom): void {
    queueMicrotask(() => {
      if (content === "unreadable") {
        this.error = new Error("the file cannot be read");
        this.onerror?.();
        return;
      }
      this.result = new TextEncoder().encode(content).buffer;
      this.onload?.();
    });
  }
}

/** A form of another realm than that of `Response`. */
class FormOfJsdom {
  readonly [Symbol.toStringTag] = "FormData";
  readonly #entries: [string, string | FileOfJsdom][];
  constructor(entries: [string, string | FileOfJsdom][]) {
    this.#entries = entries;
  }
  values() {
    return this.#entries.map(([, value]) => value).values();
  }
  [Symbol.iterator]() {
    return this.#entries.values();
  }
}

function inMemory() {
  const emulator = createEmulator({
    queues: { jobs: {} },
    services: {
      received: ({ headers, body }) =>
        JSON.stringify({ type: headers.get("content-type"), text: new TextDecoder().decode(body) }),
    },
  });
  const { transport, token, dialWebSocket } = emulator;
  return { emulator, options: { endpoint: "http://emulator", transport, token, dialWebSocket } };
}

/** Sends a body with `client.fetch` and returns the type and text that the service has received. */
async function received(body: unknown): Promise<{ type: string | null; text: string }> {
  const client = new PredictClient({ ...inMemory().options, serviceName: "received" });
  const answer = await client.fetch("", { method: "POST", body: body as never });
  return answer.json() as Promise<{ type: string | null; text: string }>;
}

test("put reads a Blob without arrayBuffer()", async () => {
  vi.stubGlobal("FileReader", FileReaderOfJsdom);
  const queue = new QueueClient({ ...inMemory().options, queueName: "jobs" });
  await queue.put(new BlobOfJsdom("blob") as never);
  expect((await queue.get())[0]?.text()).toBe("blob");
});

test("put rejects with the reason why a Blob cannot be read, and sends nothing", async () => {
  vi.stubGlobal("FileReader", FileReaderOfJsdom);
  const { emulator, options } = inMemory();
  const queue = new QueueClient({ ...options, queueName: "jobs" });
  await expect(queue.put(new BlobOfJsdom("unreadable") as never)).rejects.toThrow("the file cannot be read");
  expect(emulator.requests).toEqual([]);
});

test("put reads a Blob without a class name, as happy-dom has", async () => {
  const blob = {
    size: 4,
    type: "",
    slice: () => blob,
    arrayBuffer: async () => new TextEncoder().encode("blob").buffer,
  };
  const queue = new QueueClient({ ...inMemory().options, queueName: "jobs" });
  await queue.put(blob as never);
  expect((await queue.get())[0]?.text()).toBe("blob");
});

test("client.fetch sends the bytes of a Blob of another realm, with its type", async () => {
  vi.stubGlobal("FileReader", FileReaderOfJsdom);
  expect(await received(new BlobOfJsdom("blob", "image/png"))).toEqual({ type: "image/png", text: "blob" });
  expect(await received(new BlobOfJsdom("blob"))).toEqual({ type: null, text: "blob" });
});

test("client.fetch sends search parameters of another realm as such", async () => {
  const search = { [Symbol.toStringTag]: "URLSearchParams", toString: () => "a=1+2" };
  expect(await received(search)).toEqual({ type: "application/x-www-form-urlencoded;charset=UTF-8", text: "a=1+2" });
});

test("client.fetch sends a form of another realm with its files", async () => {
  vi.stubGlobal("FileReader", FileReaderOfJsdom);
  const form = new FormOfJsdom([
    ["name", "value"],
    ["file", new FileOfJsdom("content", "image/png")],
  ]);
  const { type, text } = await received(form);
  expect(type).toMatch(/^multipart\/form-data; boundary=/);
  expect(text).toContain('name="name"\r\n\r\nvalue\r\n');
  expect(text).toContain('name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\ncontent\r\n');
  expect((await received(new FormOfJsdom([["name", "value"]]))).text).toContain('name="name"\r\n\r\nvalue\r\n');
});

test.each([[{ a: 1 }], [[1, 2]], [new Map()], [new Date()]])("client.fetch refuses the body %o", async (body) => {
  const { emulator, options } = inMemory();
  const client = new PredictClient({ ...options, serviceName: "received" });
  const error = await errorOf(client.fetch("", { method: "POST", body: body as never }));
  expect(error).toMatchObject({ code: "ERR_EAS_ARG_REQUEST", message: expect.stringMatching(/FormData/) });
  expect(emulator.requests).toEqual([]);
});

test("the emulator receives headers that the environment's Request drops, such as the signed Date", async () => {
  vi.stubGlobal(
    "Request",
    class extends Request {
      constructor(...args: ConstructorParameters<typeof Request>) {
        super(...args);
        for (const name of ["cookie", "date"]) this.headers.delete(name);
      }
    },
  );
  const { emulator, options } = inMemory();
  const client = new PredictClient({ ...options, serviceName: "echo", auth: "signature", headers: { cookie: "a=b" } });
  expect(String(await client.predict("x"))).toBe("x");
  expect(emulator.requests[0]).toMatchObject({ auth: "signature", status: 200 });
  expect(emulator.requests[0]?.headers.get("cookie")).toBe("a=b");
});

test("the error says that there is no fetch", async () => {
  vi.stubGlobal("fetch", undefined);
  const client = new PredictClient({ endpoint: "http://127.0.0.1:9", serviceName: "s", transport: fetchTransport() });
  for (const call of [client.predict("x"), client.stream("x")]) {
    expect(await errorOf(call as Promise<unknown>)).toMatchObject({
      code: "ERR_EAS_UNSUPPORTED",
      message: expect.stringMatching(/no fetch.*transport/),
    });
  }
});
