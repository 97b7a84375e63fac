/**
 * Returns the milliseconds from the header `Date` of a response to a `Retry-After` header with an HTTP date. Undefined
 * if the header is absent or malformed. The clock of the client is used only without a valid `Date`, since the clocks of
 * client and service may differ.
 */
export function delayUntil(retryAfter: string, date: string | null): number | undefined {
  const at = parseHttpDate(retryAfter);
  return at === undefined ? undefined : Math.max(0, at - (parseHttpDate(date ?? "") ?? Date.now()));
}

/** Matches the three date formats of RFC 9110, section 5.6.7: "06 Nov 1994", "06-Nov-94" and "Nov  6 … 1994". */
const HTTP_DATE =
  /^[A-Z][a-z]+,? (?:(\d\d)([ -])([A-Z][a-z]{2})\2(\d{4}|\d\d) |([A-Z][a-z]{2}) ([ \d]\d) )(\d\d:\d\d:\d\d) (GMT|\d{4})$/;

/** Parses an HTTP date to milliseconds since 1970. `Date.parse` alone accepts nearly any text. */
function parseHttpDate(text: string): number | undefined {
  const [, day, , month, year, asctimeMonth, asctimeDay, time, end] = HTTP_DATE.exec(text) ?? [];
  // The asctime format ends with the year. The other formats end with the time zone.
  if (time === undefined || (year === undefined) === (end === "GMT")) return undefined;
  let full = Number(year ?? end);
  if (year?.length === 2) {
    full += 2000;
    // RFC 9110 requires that a two-digit year that appears to be more than 50 years ahead is interpreted as past.
    if (full > new Date().getUTCFullYear() + 50) full -= 100;
  }
  const at = Date.parse(`${day ?? asctimeDay?.trim()} ${month ?? asctimeMonth} ${full} ${time} GMT`);
  return Number.isNaN(at) ? undefined : at;
}
