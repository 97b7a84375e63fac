/** Maximum difference between the two clocks in milliseconds. The service refuses signatures above it. */
const MAX_SKEW_MS = 15 * 60_000;

/** Explains the error codes that all Alibaba Cloud APIs share, and what to do about them. */
const HINTS: Readonly<Record<string, string>> = {
  "InvalidAccessKeyId.NotFound": "The AccessKey ID does not exist. Check that it is complete and was not deleted.",
  "InvalidAccessKeyId.Inactive": "The AccessKey is disabled. Enable it in the RAM console.",
  "InvalidSecurityToken.Expired":
    "The temporary credentials have expired. Pass a `credentials` function that renews them.",
  "InvalidSecurityToken.Malformed": "The security token is not valid. Check that it is complete.",
  "InvalidSecurityToken.MismatchWithAccessKey":
    "The security token belongs to another AccessKey. Pass three values that belong together.",
  MissingSecurityToken: "Temporary AccessKeys, which begin with STS., need their security token.",
  SignatureDoesNotMatch: "The AccessKey secret does not belong to the AccessKey ID. Check that both are complete.",
  SignatureNonceUsed: "The request was sent twice. A proxy may have repeated it.",
  "InvalidTimeStamp.Expired": "The clock of this machine is wrong. Set it, for example with NTP.",
  "InvalidTimeStamp.Format": "The service cannot read the date of the request. Check the clock of this machine.",
  "Forbidden.RAM": "The user lacks a permission. Grant the policy AliyunPAIEASReadOnlyAccess in the RAM console.",
  NoPermission: "The user lacks a permission. Grant the policy AliyunPAIEASReadOnlyAccess in the RAM console.",
  "Throttling.User": "Too many requests. Wait a moment and retry.",
};

/** Returns what an error of the control plane means and what to do. `date` is the `Date` header of the response. */
export function errorHint(status: number, code: string | undefined, date: string | null): string {
  const skew = date === null ? Number.NaN : Date.now() - Date.parse(date);
  const clock =
    Math.abs(skew) > MAX_SKEW_MS / 3
      ? ` The clock of this machine is ${Math.round(Math.abs(skew) / 60_000)} minutes ${skew > 0 ? "ahead of" : "behind"} the service.`
      : "";
  const hint = code === undefined ? undefined : Object.hasOwn(HINTS, code) ? HINTS[code] : undefined;
  if (hint !== undefined) return hint + clock;
  if (status >= 300 && status < 400) return "The control plane does not redirect. Check the controlEndpoint option.";
  if (status === 403) return `The user lacks a permission. Grant the policy AliyunPAIEASReadOnlyAccess.${clock}`;
  if (status === 404) return "The service does not exist in this region.";
  if (status >= 500) return "The control plane failed. Retry later.";
  return clock.trim();
}
