/** Content type of a `URLSearchParams` body. */
export const FORM_TYPE = "application/x-www-form-urlencoded;charset=UTF-8";

/** Returns a random boundary that does not occur in the form's parts. */
export function newBoundary(): string {
  return `eas-prediction-${String(Math.random()).slice(2)}${String(Math.random()).slice(2)}`;
}

/** Returns the content type for a form with the given boundary. */
export function multipartType(boundary: string): string {
  return `multipart/form-data; boundary=${boundary}`;
}
