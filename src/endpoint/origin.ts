/** Whether a text is an origin as browsers send it: with a slash at its end, for one, it would never match. */
export function isOrigin(text: string): boolean {
  try {
    return new URL(text).origin === text;
  } catch {
    return false;
  }
}
