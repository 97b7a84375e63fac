// The service that the cases call, in a process of its own. Its responses are prepared in advance, so that it is
// faster than the clients.

import { createHash, createHmac } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { ArrayDataType, PredictResponseSchema } from "eas-prediction/proto/tf";
import { bareServer, listen } from "../bare-server.mjs";
import { serve } from "../child.mjs";
import { CHECK, floats, HELD, kilobyte, OUTPUT, SIZED, SIZED_TENSOR, SMALL, TENSOR_ELEMENTS, TOKEN } from "../data.mjs";

/** Paths of signed and unsigned calls. */
const REQUEST_LINE = /^POST \/api\/predict\/(\w+) HTTP\/1\.1\r\n/;

const ANSWERS = { [SMALL]: answer("200 OK", kilobyte(2)) };
for (const [service, elements] of Object.entries(TENSOR_ELEMENTS)) {
  const tensor = create(PredictResponseSchema, {
    outputs: {
      [OUTPUT]: {
        dtype: ArrayDataType.DT_FLOAT,
        arrayShape: { dim: [BigInt(elements)] },
        floatVal: Array.from(floats(2, elements)),
      },
    },
  });
  ANSWERS[service] = answer("200 OK", toBinary(PredictResponseSchema, tensor));
}

/** Sockets that wait for a response, and the callback for when there are enough of them. */
let waiting = [];
let onWaiting = () => {};

const server = bareServer(
  (head) => {
    const service = REQUEST_LINE.exec(head)?.[1];
    return { head, service, skipsBody: service !== CHECK };
  },
  (socket, { head, service }, body) => {
    if (service === HELD) {
      waiting.push(socket);
      onWaiting();
    } else socket.write(ANSWERS[service] ?? sized(service) ?? report(head, Buffer.concat(body)));
  },
);

serve({
  listen: () => listen(server),
  /** Resolves when `count` calls of the service HELD are waiting. */
  async held(count) {
    while (waiting.length < count) {
      await new Promise((resolve) => {
        onWaiting = resolve;
      });
    }
  },
  /** Responds to the waiting calls. */
  release() {
    for (const socket of waiting) socket.write(ANSWERS[SMALL]);
    waiting = [];
  },
});

/** Returns the response of a service whose name contains its size. Undefined for other services. Created once. */
function sized(service) {
  const [kind, size] = service?.split("_") ?? [];
  if (kind === SIZED) ANSWERS[service] = answer("200 OK", new Uint8Array(Number(size)).fill(1));
  if (kind === SIZED_TENSOR) ANSWERS[service] = answer("200 OK", tensorOfOnes(Number(size)));
  return ANSWERS[service];
}

/**
 * Returns a response with a tensor of the given length. It is written field by field, because the generated code would
 * require a plain array.
 */
function tensorOfOnes(length) {
  const shape = new BinaryWriter().tag(1, WireType.LengthDelimited).fork().int64(length).join();
  const array = new BinaryWriter();
  array.tag(1, WireType.Varint).int32(ArrayDataType.DT_FLOAT);
  array.tag(2, WireType.LengthDelimited).bytes(shape.finish());
  array.tag(3, WireType.LengthDelimited).bytes(new Uint8Array(new Float32Array(length).fill(1).buffer));
  const entry = new BinaryWriter();
  entry.tag(1, WireType.LengthDelimited).string(OUTPUT).tag(2, WireType.LengthDelimited).bytes(array.finish());
  return new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(entry.finish()).finish();
}

/** Returns a complete response in one buffer, with the headers of the gateway. */
function answer(status, body) {
  const head =
    `HTTP/1.1 ${status}\r\nServer: bench\r\nDate: ${new Date().toUTCString()}\r\n` +
    // Long, so that connections of idle contenders stay open.
    "Connection: keep-alive\r\nKeep-Alive: timeout=600\r\n" +
    `Content-Type: application/octet-stream\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), body]);
}

/** Reports the request, and whether its signature is valid. Computed without code of the SDK. */
function report(head, body) {
  const headers = Object.fromEntries(
    head
      .split("\r\n")
      .slice(1)
      .map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
  );
  const md5 = createHash("md5").update(body).digest("hex");
  const text = `POST\n${md5}\n${headers["content-type"]}\n${headers.date}\n/api/predict/${CHECK}`;
  const signature = createHmac("sha1", TOKEN).update(text).digest("base64");
  const authorization =
    headers.authorization === TOKEN
      ? "token"
      : headers.authorization === `EAS ${signature}` && headers["content-md5"] === md5
        ? "signature"
        : "wrong";
  return answer("200 OK", Buffer.from(JSON.stringify({ headers, md5, authorization })));
}
