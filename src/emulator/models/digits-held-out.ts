import heldOut from "./digits/held-out.json" with { type: "json" };

/**
 * The 200 images (20 per digit) the digits model has never seen: `images` is [200][64], 8x8 row by row with whole-number
 * ink from 0 to 16, and `labels` is [200], the digits 0..9.
 *
 * From "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998), CC BY 4.0, doi:10.24432/C50P49.
 */
export const heldOutDigits: {
  readonly images: readonly (readonly number[])[];
  readonly labels: readonly number[];
} = heldOut;
