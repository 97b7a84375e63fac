/** Maximum length of a list or object that is written on one line. */
const MAX_INLINE_LENGTH = 100;

/**
 * Formats a cassette's index as JSON. Short lists, such as headers and chunks, take one line each, so that a change of one
 * value changes one line.
 */
export function formatIndex(value: unknown): string {
  return `${format(value, "")}\n`;
}

function format(value: unknown, indent: string): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.every((each) => typeof each !== "object")) {
      const inline = `[${value.map((each) => JSON.stringify(each)).join(", ")}]`;
      if (inline.length <= MAX_INLINE_LENGTH) return inline;
    }
    return value.length === 0 ? "[]" : `[\n${value.map((each) => inner + format(each, inner)).join(",\n")}\n${indent}]`;
  }
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  const lines = fields.map(([name, field]) => `${inner}${JSON.stringify(name)}: ${format(field, inner)}`);
  return lines.length === 0 ? "{}" : `{\n${lines.join(",\n")}\n${indent}}`;
}
