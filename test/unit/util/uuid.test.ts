import { afterEach, expect, test, vi } from "vitest";
import { randomUuid } from "../../../src/util/uuid.js";

const VERSION_4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

afterEach(() => vi.unstubAllGlobals());

test.each([
  ["with crypto.randomUUID", {}],
  ["without crypto.randomUUID", { randomUUID: undefined }],
])("creates unique version 4 UUIDs %s", (_, lacks) => {
  const { getRandomValues, randomUUID } = crypto;
  vi.stubGlobal("crypto", {
    getRandomValues: getRandomValues.bind(crypto),
    randomUUID: randomUUID.bind(crypto),
    ...lacks,
  });
  const many = new Set(Array.from({ length: 500 }, () => randomUuid()));
  expect(many.size).toBe(500);
  for (const uuid of many) expect(uuid).toMatch(VERSION_4);
});
