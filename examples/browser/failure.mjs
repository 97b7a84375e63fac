import { isEasError } from "eas-prediction";

/** Shows in words what went wrong, or that nothing is wrong any more. The SDK's messages say what to do; none holds the token. */
export function showFailure(element, error) {
  element.hidden = error === undefined;
  element.textContent =
    error === undefined ? "" : isEasError(error) ? `${error.message} (${error.code})` : String(error);
}
