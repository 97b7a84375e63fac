import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalQuery, encodePart, signedHeaders } from "../../../src/control/signature.js";

describe("the signature ACS3-HMAC-SHA256", () => {
  // The example of Alibaba Cloud's documentation, "Request syntax and signature method V3".
  test("is that of the published example", async () => {
    const headers = await signedHeaders(
      {
        method: "POST",
        host: "ecs.cn-shanghai.aliyuncs.com",
        path: "/",
        query: { RegionId: "cn-shanghai", ImageId: "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd" },
        action: "RunInstances",
        version: "2014-05-26",
        date: new Date("2023-10-26T10:22:32Z"),
        nonce: "3156853299f313e23d1673dc12e1703d",
      },
      { accessKeyId: "YourAccessKeyId", accessKeySecret: "YourAccessKeySecret" },
    );
    expect(headers.authorization).toBe(
      "ACS3-HMAC-SHA256 Credential=YourAccessKeyId," +
        "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version," +
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
    );
  });

  test("covers the security token", async () => {
    const request = {
      method: "GET",
      host: "pai-eas.cn-hangzhou.aliyuncs.com",
      path: "/api/v2/services",
      query: {},
      action: "ListServices",
      version: "2021-07-01",
      date: new Date(0),
      nonce: "n",
    };
    const key = { accessKeyId: "id", accessKeySecret: "secret" };
    const plain = await signedHeaders(request, key);
    const temporary = await signedHeaders(request, { ...key, securityToken: "token" });
    expect(temporary["x-acs-security-token"]).toBe("token");
    expect(temporary.authorization).toContain(";x-acs-security-token;");
    expect(temporary.authorization).not.toBe(plain.authorization);
  });

  test("encodes every character that RFC 3986 reserves, and sorts by name", () => {
    expect(encodePart("a b*c~中!'()/+")).toBe("a%20b%2Ac~%E4%B8%AD%21%27%28%29%2F%2B");
    expect(canonicalQuery({ b: "2", a: "1 *", Z: "" })).toBe("Z=&a=1%20%2A&b=2");
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(encodePart(text)).toMatch(/^([A-Za-z0-9._~-]|%[0-9A-F]{2})*$/);
        expect(decodeURIComponent(encodePart(text))).toBe(text);
      }),
    );
  });
});
