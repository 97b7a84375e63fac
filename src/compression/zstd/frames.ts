/** The properties of a zstd frame that are known without decompressing it. */
export interface ZstdFrame {
  readonly start: number;
  readonly end: number;
  /** The content size from the frame header, if present. */
  readonly contentSize: number | undefined;
  /** Maximum total size of the content of all blocks in the frame. */
  readonly maxContentBytes: number;
}

const MAGIC = 0xfd2fb528;
/** The first of the 16 magic numbers for skippable frames. */
const SKIPPABLE_MAGIC = 0x184d2a50;

/**
 * Flags in the first byte of a frame header. The other bits of this byte determine the lengths of the header's fields.
 */
const SINGLE_SEGMENT = 0x20;
const RESERVED = 0x08;
const CHECKSUM = 0x04;

const MAX_PER_BLOCK = 131_072;
/**
 * Maximum number of frames in a body. Real data has far fewer. The limit is needed because each frame, even if empty,
 * costs a separate call to the decompressor.
 */
const MAX_FRAMES = 1024;
const REPEATED = 1;
const COMPRESSED = 2;

/**
 * Parses the frames in `bytes` (RFC 8878) and checks that they are complete and that no other data follows. Needed
 * because Deno and Bun return partial output for a truncated frame, and only libzstd itself checks the data after a
 * frame.
 */
export function framesOf(bytes: Uint8Array): ZstdFrame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: ZstdFrame[] = [];
  for (let at = 0; at < bytes.length; ) {
    need(view, at, 4);
    const magic = view.getUint32(at, true);
    if (magic === MAGIC) {
      const frame = frameAt(view, at);
      if (frames.push(frame) > MAX_FRAMES) throw new Error(`there are more than ${MAX_FRAMES} zstd frames`);
      at = frame.end;
    } else if ((magic & 0xfffffff0) === SKIPPABLE_MAGIC) {
      need(view, at, 8);
      const size = 8 + view.getUint32(at + 4, true);
      need(view, at, size);
      at += size;
    } else {
      throw new Error(
        at === 0 ? "the data does not begin with a zstd frame" : "the data after the zstd frame is not a zstd frame",
      );
    }
  }
  if (frames.length === 0) throw new Error("there is no zstd frame");
  return frames;
}

function frameAt(view: DataView, start: number): ZstdFrame {
  need(view, start, 5);
  const flags = view.getUint8(start + 4);
  if ((flags & RESERVED) !== 0) throw new Error("the zstd frame has an unsupported version");
  const singleSegment = (flags & SINGLE_SEGMENT) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][flags & 3] as number;
  const sizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][flags >>> 6] as number;
  let at = start + 5 + (singleSegment ? 0 : 1);
  need(view, at, dictionaryBytes + sizeBytes);
  for (let i = 0; i < dictionaryBytes; i++) {
    if (view.getUint8(at + i) !== 0) throw new Error("the zstd frame needs a dictionary, which is not supported");
  }
  at += dictionaryBytes;
  const contentSize = sizeAt(view, at, sizeBytes);
  at += sizeBytes;
  let maxContentBytes = 0;
  for (let last = false; !last; ) {
    need(view, at, 3);
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const type = (header >>> 1) & 3;
    const size = header >>> 3;
    if (type > COMPRESSED || size > MAX_PER_BLOCK) throw new Error("the zstd frame has an invalid block");
    maxContentBytes += type === COMPRESSED ? MAX_PER_BLOCK : size;
    at += 3;
    const stored = type === REPEATED ? 1 : size;
    need(view, at, stored);
    at += stored;
    last = (header & 1) === 1;
  }
  if ((flags & CHECKSUM) !== 0) {
    need(view, at, 4);
    at += 4;
  }
  if (contentSize !== undefined && contentSize > maxContentBytes) {
    throw new Error(`the zstd frame declares ${contentSize} bytes, and its blocks cannot hold that many`);
  }
  return { start, end: at, contentSize, maxContentBytes };
}

/** Reads the content size from a field of `count` bytes. */
function sizeAt(view: DataView, at: number, count: number): number | undefined {
  if (count === 1) return view.getUint8(at);
  if (count === 2) return view.getUint16(at, true) + 256;
  if (count === 4) return view.getUint32(at, true);
  return count === 8 ? Number(view.getBigUint64(at, true)) : undefined;
}

/** Throws if fewer than `count` bytes follow. */
function need(view: DataView, at: number, count: number): void {
  if (count > view.byteLength - at) throw new Error("the zstd frame is truncated");
}
