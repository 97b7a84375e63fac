import { isEasError } from "eas-prediction";

/** Shows an error message, or removes it. The SDK's messages say what to do, and none contains the token. */
export function showFailure(element, error) {
  element.hidden = error === undefined;
  element.textContent =
    error === undefined ? "" : isEasError(error) ? `${error.message} (${error.code})` : String(error);
}
