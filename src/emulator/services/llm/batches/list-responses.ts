import { LlmRefusal } from "../interfaces/fields.js";

/** Creates the refusal for a request to `/v1/files` or `/v1/batches`. */
export function badRequest(message: string, param: string | null = null, status = 400): LlmRefusal {
  return new LlmRefusal(message, param, status, "invalid_request_error");
}

/** Returns one page of a list in the form of OpenAI's interface. `newestFirst` is sorted from newest to oldest. */
export function pageOf(
  newestFirst: readonly { readonly id: string }[],
  query: URLSearchParams,
  defaultLimit: number,
  maxLimit: number,
): object {
  const limit = Number(query.get("limit") ?? defaultLimit);
  if (!Number.isInteger(limit) || limit < 1 || limit > maxLimit) {
    throw badRequest(`limit is ${query.get("limit")}: it must be an integer from 1 to ${maxLimit}`, "limit");
  }
  const order = query.get("order") ?? "desc";
  if (order !== "asc" && order !== "desc") throw badRequest(`order is ${order}: it must be asc or desc`, "order");
  const items = order === "asc" ? [...newestFirst].reverse() : newestFirst;
  const after = query.get("after");
  const start = after === null ? 0 : items.findIndex(({ id }) => id === after) + 1;
  if (after !== null && start === 0) throw badRequest(`after is ${after}: the list has no such item`, "after");
  const data = items.slice(start, start + limit);
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: start + limit < items.length,
  };
}
