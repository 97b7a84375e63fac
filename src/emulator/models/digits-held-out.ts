import heldOut from "./digits/held-out.json" with { type: "json" };

/**
 * The 200 images (20 for each digit) that were not used to train the digits model. `images` is [200][64]: 8x8 pixels in row
 * order, integers from 0 to 16. `labels` is [200]: the digits 0 to 9.
 *
 * From "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998), CC BY 4.0, doi:10.24432/C50P49.
 */
export const heldOutDigits: {
  readonly images: readonly (readonly number[])[];
  readonly labels: readonly number[];
} = heldOut;
