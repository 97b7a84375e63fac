/** Content type of `URLSearchParams`. */
export const FORM_TYPE = "application/x-www-form-urlencoded;charset=UTF-8";

/** Creates text that separates the parts of one form, and occurs in none of them. */
export function newBoundary(): string {
  return `eas-prediction-${String(Math.random()).slice(2)}${String(Math.random()).slice(2)}`;
}

/** Returns the content type of a form with this boundary. */
export function multipartType(boundary: string): string {
  return `multipart/form-data; boundary=${boundary}`;
}
