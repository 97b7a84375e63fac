// A watch of bench/queue/queue-server.mjs. It pushes items over a WebSocket as fast as the client reads, and records
// commits. Frames are prepared in blocks, and only their indexes are written before a block is sent, so that the
// sender is not the bottleneck.

import { createHash } from "node:crypto";
import { FIRST, FIRST_DIGITS, firstFrame, INDEX_AT } from "./queue-items.mjs";

const BLOCK_BYTES = 131_072;
/** Blocks that are written concurrently: while the kernel sends one, the next is prepared. */
const BLOCKS = 4;
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const INDEX_BYTES = 9;

/** Returns the response to the upgrade. */
export function upgraded(key) {
  const accept = createHash("sha1")
    .update(key + GUID)
    .digest("base64");
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
}

const OPCODES = { binary: 0x82, close: 0x88, pong: 0x8a };

/** Returns a message of the server, which is not masked. */
function message(opcode, payload) {
  const { length } = payload;
  const head =
    length < 126
      ? [opcode, length]
      : length < 65_536
        ? [opcode, 126, length >> 8, length & 255]
        : [opcode, 127, 0, 0, 0, 0, (length >>> 24) & 255, (length >>> 16) & 255, (length >>> 8) & 255, length & 255];
  return Buffer.concat([Buffer.from(head), payload]);
}

export class QueueStream {
  /** Checks that each item was committed once, and that no other item was. */
  sent = 0;
  committed = 0;
  wrong = 0;
  commitRequests = 0;
  #socket;
  #allowed;
  #window;
  #size;
  #frames;
  #indexAt;
  #free;
  #index;
  #isCommitted;
  #held = Buffer.alloc(0);

  constructor(socket, { bytes, count, isPaced }, window) {
    this.#socket = socket;
    this.#allowed = isPaced ? 0 : count;
    this.#window = window;
    this.#isCommitted = new Uint8Array(count);
    const payload = firstFrame(bytes);
    const framed = message(OPCODES.binary, payload);
    this.#size = framed.length;
    this.#indexAt = framed.length - payload.length + INDEX_AT;
    this.#index = Uint8Array.from(payload.subarray(INDEX_AT, INDEX_AT + INDEX_BYTES));
    this.#frames = Math.max(1, Math.floor(BLOCK_BYTES / framed.length));
    this.#free = Array.from({ length: BLOCKS }, () => Buffer.concat(Array(this.#frames).fill(framed)));
    socket.on("data", (chunk) => this.#receive(chunk));
    this.#push();
  }

  /** Records the text of `_indexes_`. */
  commit(text) {
    this.commitRequests++;
    for (const index of text.split(/,|%2C/i)) {
      const number = index.length === 19 && index.startsWith(FIRST_DIGITS) ? Number(index.slice(10)) : -1;
      if (number >= 0 && number < this.sent && this.#isCommitted[number] === 0) {
        this.#isCommitted[number] = 1;
        this.committed++;
      } else this.wrong++;
    }
    this.#push();
  }

  /** Releases a number of items of a paced queue. */
  allow(items) {
    this.#allowed += items;
    this.#push();
  }

  #push() {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    for (;;) {
      const room = Math.min(this.#allowed, this.committed + this.#window) - this.sent;
      if (room <= 0 || this.#free.length === 0) return;
      const block = this.#free.pop();
      const frames = Math.min(room, this.#frames);
      for (let at = this.#indexAt, i = 0; i < frames; i++, at += this.#size) this.#stamp(block, at);
      this.sent += frames;
      this.#socket.write(block.subarray(0, frames * this.#size), () => {
        this.#free.push(block);
        this.#push();
      });
    }
  }

  /** Writes the index, a varint of nine bytes, and increments it. */
  #stamp(block, at) {
    const index = this.#index;
    for (let i = 0; i < INDEX_BYTES; i++) block[at + i] = index[i];
    let i = 0;
    while ((index[i] & 127) === 127) index[i++] &= 128;
    index[i]++;
  }

  /** Reads the client's frames: pings and the close. */
  #receive(chunk) {
    let rest = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    // Only control frames arrive: two bytes, a mask of four, and at most 125 bytes.
    while (rest.length >= 6 && rest.length >= 6 + (rest[1] & 127)) {
      const end = 6 + (rest[1] & 127);
      const payload = Buffer.from(rest.subarray(6, end)).map((byte, i) => byte ^ rest[2 + (i & 3)]);
      const opcode = rest[0] & 15;
      if (opcode === 9) this.#socket.write(message(OPCODES.pong, payload));
      if (opcode === 8) this.#socket.end(message(OPCODES.close, payload));
      rest = rest.subarray(end);
    }
    this.#held = rest;
  }
}

/** Returns the index of an item. */
export const indexOf = (item) => FIRST + BigInt(item);
