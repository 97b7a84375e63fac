/** Options for reading JSON. */
export interface JsonReadOptions {
  /** Whether integers beyond 2^53 become bigints, exact to the last digit. Default false: they are rounded, as by `JSON.parse`. */
  readonly bigint?: boolean | undefined;
}
