import { md5 as portableMd5 } from "@noble/hashes/legacy.js";

interface NodeCrypto {
  createHash(name: string): { update(bytes: Uint8Array): { digest(encoding: "hex"): string } };
}

/**
 * The runtime's own `node:crypto`, where it has one (Deno, Bun): ten times as fast as portable MD5. Asked for, never
 * imported, so that no bundler follows it.
 */
function nativeCrypto(): NodeCrypto | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } };
  try {
    return process?.getBuiltinModule?.("node:crypto") as NodeCrypto | undefined;
  } catch {
    return undefined;
  }
}

/** MD5 in hexadecimal; WebCrypto has none. */
export function md5(bytes: Uint8Array): string {
  const native = nativeCrypto();
  return native ? native.createHash("md5").update(bytes).digest("hex") : toHex(portableMd5(bytes));
}

/** HMAC-SHA1 by WebCrypto, which exists in every runtime here (browsers: in secure contexts only). */
export async function hmacSha1(key: string, text: string): Promise<string> {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-1" };
  const imported = await crypto.subtle.importKey("raw", encoder.encode(key), algorithm, false, ["sign"]);
  const mac = await crypto.subtle.sign("HMAC", imported, encoder.encode(text));
  return btoa(String.fromCharCode(...new Uint8Array(mac)));
}

/** Bytes as lower-case hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
