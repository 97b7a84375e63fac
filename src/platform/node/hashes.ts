let crypto: typeof import("node:crypto") | undefined;

/** `node:crypto`, asked for when it is needed: a process that sends with a token does not load it. */
export function nodeCrypto(): typeof import("node:crypto") {
  crypto ??= process.getBuiltinModule("node:crypto");
  return crypto;
}

const NO_BYTES = new Uint8Array(0);

/** MD5 of all pieces in hexadecimal. */
export function md5([first = NO_BYTES, ...others]: readonly Uint8Array[]): string {
  // In one call, which takes a third of the time for small bodies.
  if (others.length === 0) return nodeCrypto().hash("md5", first, "hex");
  const hash = nodeCrypto().createHash("md5").update(first);
  for (const piece of others) hash.update(piece);
  return hash.digest("hex");
}
