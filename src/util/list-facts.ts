/** Formats facts as `Name { key: value, … }`. Facts that are undefined or empty are left out. */
export function listFacts(name: string, facts: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(facts).map(([key, fact]) =>
    fact === undefined || fact === "" ? "" : ` ${key}: ${fact}`,
  );
  return `${name} {${parts.filter(Boolean).join(",")} }`;
}
