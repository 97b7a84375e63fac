import { md5 as portableMd5 } from "@noble/hashes/legacy.js";

interface NodeCrypto {
  createHash(name: string): { update(bytes: Uint8Array): unknown; digest(encoding: "hex"): string };
}

/**
 * Returns the runtime's `node:crypto`, if any (Deno, Bun). Its MD5 is ten times faster than the portable
 * implementation. The module is looked up instead of being imported, so that bundlers do not include it.
 */
function nativeCrypto(): NodeCrypto | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } };
  try {
    return process?.getBuiltinModule?.("node:crypto") as NodeCrypto | undefined;
  } catch {
    return undefined;
  }
}

/** Returns the MD5 of all chunks in hexadecimal. Implemented here because WebCrypto does not support MD5. */
export function md5(chunks: readonly Uint8Array[]): string {
  const native = nativeCrypto();
  const hash = native ? native.createHash("md5") : portableMd5.create();
  for (const chunk of chunks) hash.update(chunk);
  const digest = hash.digest("hex") as string | Uint8Array;
  return typeof digest === "string" ? digest : toHex(digest);
}

/**
 * Returns an HMAC-SHA1 computed with WebCrypto, which is available in every supported runtime (in browsers, only in
 * secure contexts).
 */
export async function hmacSha1(key: string, text: string): Promise<string> {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-1" };
  const imported = await crypto.subtle.importKey("raw", encoder.encode(key), algorithm, false, ["sign"]);
  const mac = await crypto.subtle.sign("HMAC", imported, encoder.encode(text));
  return btoa(String.fromCharCode(...new Uint8Array(mac)));
}

/** Returns bytes as lowercase hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
