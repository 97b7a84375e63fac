import type { ConsoleService } from "../../protocol.js";

/** Calls a service with its token. */
export function callService(
  { name, token }: ConsoleService,
  path: string,
  { headers, ...init }: RequestInit & { headers?: Record<string, string> } = {},
): Promise<Response> {
  return fetch(`/api/predict/${name.split("/").map(encodeURIComponent).join("/")}${path}`, {
    ...init,
    headers: { ...headers, ...(token !== "" && { authorization: token }) },
  });
}

/** Returns the message of an error for the page. */
export function messageOf(error: unknown): string {
  if (error instanceof TypeError) return "The connection was broken before the response was complete.";
  return error instanceof Error ? error.message : String(error);
}
