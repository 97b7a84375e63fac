const PRIME_1 = 0x9e3779b1;
const PRIME_2 = 0x85ebca77;
const PRIME_3 = 0xc2b2ae3d;
const PRIME_4 = 0x27d4eb2f;
const PRIME_5 = 0x165667b1;

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));

/** Computes the unsigned XXH32 of `bytes` from `start` to `end` with seed 0, the checksum of LZ4 frames. */
export function xxHash32(bytes: Uint8Array, start: number, end: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const mix = (lane: number, at: number): number =>
    Math.imul(rotate((lane + Math.imul(view.getUint32(at, true), PRIME_2)) | 0, 13), PRIME_1);
  let at = start;
  let hash = PRIME_5;
  if (end - start >= 16) {
    let one = (PRIME_1 + PRIME_2) | 0;
    let two = PRIME_2 | 0;
    let three = 0;
    let four = -PRIME_1 | 0;
    for (; end - at >= 16; at += 16) {
      one = mix(one, at);
      two = mix(two, at + 4);
      three = mix(three, at + 8);
      four = mix(four, at + 12);
    }
    hash = rotate(one, 1) + rotate(two, 7) + rotate(three, 12) + rotate(four, 18);
  }
  hash = (hash + (end - start)) | 0;
  for (; end - at >= 4; at += 4) {
    hash = Math.imul(rotate((hash + Math.imul(view.getUint32(at, true), PRIME_3)) | 0, 17), PRIME_4);
  }
  for (; at < end; at++) {
    hash = Math.imul(rotate((hash + Math.imul(bytes[at] as number, PRIME_5)) | 0, 11), PRIME_1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2);
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3);
  return (hash ^ (hash >>> 16)) >>> 0;
}
