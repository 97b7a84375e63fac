import type { HeaderPair, Platform, SignedRequest, Signer } from "./contract.js";

/**
 * Returns a function that signs requests as the official SDKs do. The signature is the HMAC-SHA1 of the method, the
 * body's MD5, the content type, the date and the path.
 */
export function signerOf(platform: Pick<Platform, "md5" | "hmacSha1">, body: readonly Uint8Array[]): Signer {
  // Compute the MD5 only once per call, because all attempts have the same body, and hashing a large body is expensive.
  let bodyMd5: string | undefined;

  function sign(request: SignedRequest, token: string): HeaderPair[] | Promise<HeaderPair[]> {
    if (bodyMd5 === undefined) {
      const md5 = platform.md5(body);
      if (typeof md5 !== "string") {
        return md5.then((md5) => {
          bodyMd5 = md5;
          return sign(request, token);
        });
      }
      bodyMd5 = md5;
    }
    const date = httpDate();
    const headers = (hmac: string): HeaderPair[] => [
      // EAS expects hexadecimal digits, unlike RFC 1864 (github.com/pai-eas/eas-python-sdk, predict_client.py).
      ["content-md5", bodyMd5 as string],
      ["date", date],
      ["authorization", `EAS ${hmac}`],
    ];
    const { method, contentType, resource } = request;
    const hmac = platform.hmacSha1(token, `${method}\n${bodyMd5}\n${contentType}\n${date}\n${resource}`);
    return typeof hmac === "string" ? headers(hmac) : hmac.then(headers);
  }

  return sign;
}

let lastSecond = -1;
let lastDate = "";

/** Returns the current HTTP date in GMT. The official Python and Go SDKs send local time labeled as GMT. */
function httpDate(): string {
  const now = Date.now();
  const second = Math.floor(now / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastDate = new Date(now).toUTCString();
  }
  return lastDate;
}
