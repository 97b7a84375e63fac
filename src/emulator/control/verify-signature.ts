/** Credentials that the control plane accepts. */
export interface ControlKey {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  /** The security token that requests must contain. `undefined` for a permanent AccessKey. */
  readonly securityToken?: string | undefined;
}

/** The reason why a request is refused, in the form of Alibaba Cloud's APIs. */
export interface SignatureRefusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

const ALGORITHM = "ACS3-HMAC-SHA256";
/** Maximum age of a request in milliseconds. */
const MAX_AGE_MS = 15 * 60_000;
/** Number of nonces that are remembered. */
const MAX_NONCES = 10_000;

/** Verifies ACS3-HMAC-SHA256 signatures, independently of the client's code. */
export class SignatureVerifier {
  readonly #key: ControlKey;
  readonly #now: () => number;
  readonly #nonces = new Set<string>();

  /** `now` returns the current time in milliseconds since 1970. */
  constructor(key: ControlKey, now: () => number) {
    this.#key = key;
    this.#now = now;
  }

  /** Returns the reason to refuse the request, or undefined if its signature is valid. */
  async refusal(request: Request, body: Uint8Array): Promise<SignatureRefusal | undefined> {
    const { headers } = request;
    const [, id = "", names = "", signature = ""] =
      /^ACS3-HMAC-SHA256 Credential=([^,]*),SignedHeaders=([^,]*),Signature=([0-9a-f]{64})$/.exec(
        headers.get("authorization") ?? "",
      ) ?? [];
    if (signature === "") return refuse(400, "MissingAccessKeyId", "AccessKeyId is mandatory for this action.");
    if (id !== this.#key.accessKeyId) {
      return refuse(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.");
    }
    const date = Date.parse(headers.get("x-acs-date") ?? "");
    if (Number.isNaN(date))
      return refuse(400, "InvalidTimeStamp.Format", "Specified time stamp is not well formatted.");
    if (Math.abs(this.#now() - date) > MAX_AGE_MS) {
      return refuse(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.");
    }
    const token = this.#tokenRefusal(headers.get("x-acs-security-token"));
    if (token !== undefined) return token;
    const canonical = await canonicalRequest(request, names.split(";"), body);
    const expected = await hmac(this.#key.accessKeySecret, `${ALGORITHM}\n${await sha256(encode(canonical))}`);
    if (expected !== signature || headers.get("x-acs-content-sha256") !== (await sha256(body))) {
      const message = "Specified signature is not matched with our calculation. server string to sign is:";
      return refuse(400, "SignatureDoesNotMatch", `${message}${canonical}`);
    }
    const nonce = headers.get("x-acs-signature-nonce") ?? "";
    if (nonce === "" || this.#nonces.has(nonce)) {
      return refuse(400, "SignatureNonceUsed", "Specified signature nonce was used already.");
    }
    this.#nonces.add(nonce);
    if (this.#nonces.size > MAX_NONCES) {
      const [oldest] = this.#nonces;
      this.#nonces.delete(oldest as string);
    }
    return undefined;
  }

  #tokenRefusal(token: string | null): SignatureRefusal | undefined {
    const { securityToken } = this.#key;
    if (securityToken === undefined || token === securityToken) return undefined;
    return token === null
      ? refuse(400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
      : refuse(403, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.");
  }
}

function refuse(status: number, code: string, message: string): SignatureRefusal {
  return { status, code, message };
}

/** Returns the text that the signature covers. */
async function canonicalRequest(request: Request, names: readonly string[], body: Uint8Array): Promise<string> {
  const url = new URL(request.url);
  // Clients encode spaces as "+" or "%20". The signature covers the decoded values.
  const query = [...url.searchParams]
    .map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`)
    .sort()
    .join("&");
  const values = names.map((name) => {
    const value = name === "host" ? (request.headers.get("host") ?? url.host) : (request.headers.get(name) ?? "");
    return `${name}:${value.trim()}`;
  });
  return [request.method, url.pathname, query, ...values, "", names.join(";"), await sha256(body)].join("\n");
}

/** Percent-encodes all bytes except the unreserved characters of RFC 3986. */
function percentEncode(text: string): string {
  return Array.from(encode(text), (byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9._~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

async function sha256(bytes: Uint8Array): Promise<string> {
  return hex(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
}

async function hmac(secret: string, text: string): Promise<string> {
  const usage = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encode(secret), usage, false, ["sign"]);
  return hex(await crypto.subtle.sign("HMAC", key, encode(text)));
}

function hex(buffer: ArrayBuffer): string {
  return [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
