/** Headers as undici's older handlers get them. */
export function toHeaders(raw: readonly Buffer[]): Headers {
  const headers = new Headers();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    headers.append((raw[i] as Buffer).toString("latin1"), (raw[i + 1] as Buffer).toString("latin1"));
  }
  return headers;
}

/** Whether a raw header name is `name`, given in lower case; lengths are equal already. */
export function isNamed(raw: Buffer, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    // Setting 0x20 makes an upper-case letter lower-case and leaves `-` as it is.
    if (((raw[i] as number) | 0x20) !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** Decimal digits as a number; undici has checked that there are no others. */
export function decimal(raw: Buffer): number {
  let value = 0;
  for (const byte of raw) value = value * 10 + (byte - 0x30);
  return value;
}
