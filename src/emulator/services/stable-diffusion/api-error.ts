import { createResponse } from "../../response.js";

/** Refuses a request in the form of the web UI's API. */
export class ApiError extends Error {
  readonly response: Response;

  constructor(status: number, error: string, detail: unknown, errors = "") {
    super(`status ${status}`);
    const body = status === 422 ? { detail } : { error, detail, body: "", errors };
    this.response = jsonResponse(status, body);
  }
}

/** Creates a JSON response. */
export function jsonResponse(status: number, value: unknown): Response {
  return createResponse(status, JSON.stringify(value), { "content-type": "application/json" });
}

/** Creates the refusal of a request that cannot be parsed: status 422. */
export function invalidRequest(loc: readonly string[], msg: string, type: string): ApiError {
  return new ApiError(422, "", [{ loc, msg, type }]);
}

/** Creates the refusal of one field: status 422. */
export function invalidField(name: string, message: string, type: string): ApiError {
  return invalidRequest(["body", name], message, type);
}
