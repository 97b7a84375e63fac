/** Maximum length of a path in a message, in characters. */
const MAX_LENGTH = 200;

/** Formats the keys on the path to a value inside `root` as a code expression: `input.messages[0].content`. */
export function keyPath(root: string, keys: Iterable<PropertyKey>): string {
  let path = root;
  for (const key of keys) {
    if (typeof key === "number") path += `[${key}]`;
    else path += /^[A-Za-z_$][\w$]*$/.test(String(key)) ? `.${String(key)}` : `[${JSON.stringify(String(key))}]`;
    if (path.length > MAX_LENGTH) return `${path.slice(0, MAX_LENGTH)}…`;
  }
  return path;
}
