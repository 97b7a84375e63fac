/** Reason phrases of consecutive statuses, from the IANA registry. The phrase for an unregistered status is empty. */
const RUNS: readonly (readonly [first: number, phrases: string])[] = [
  [
    200,
    "OK,Created,Accepted,Non-Authoritative Information,No Content,Reset Content,Partial Content,Multi-Status,Already Reported",
  ],
  [226, "IM Used"],
  [
    300,
    "Multiple Choices,Moved Permanently,Found,See Other,Not Modified,Use Proxy,,Temporary Redirect,Permanent Redirect",
  ],
  [
    400,
    "Bad Request,Unauthorized,Payment Required,Forbidden,Not Found,Method Not Allowed,Not Acceptable,Proxy Authentication Required,Request Timeout,Conflict,Gone,Length Required,Precondition Failed,Content Too Large,URI Too Long,Unsupported Media Type,Range Not Satisfiable,Expectation Failed",
  ],
  [421, "Misdirected Request,Unprocessable Content,Locked,Failed Dependency,Too Early,Upgrade Required"],
  [428, "Precondition Required,Too Many Requests,,Request Header Fields Too Large"],
  // Status 450 is specific to EAS.
  [450, "Queue Full,Unavailable For Legal Reasons"],
  [
    500,
    "Internal Server Error,Not Implemented,Bad Gateway,Service Unavailable,Gateway Timeout,HTTP Version Not Supported,Variant Also Negotiates,Insufficient Storage,Loop Detected,,Not Extended,Network Authentication Required",
  ],
];

/**
 * Returns the reason phrase of a status from 200 to 599, or `""`. Needed because libraries show the phrase, but HTTP/2
 * does not transmit it.
 */
export function reasonPhrase(status: number): string {
  for (const [first, phrases] of RUNS) {
    const phrase = phrases.split(",")[status - first];
    if (phrase !== undefined) return phrase;
  }
  return "";
}
