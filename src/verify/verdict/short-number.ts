/** A number for a sentence: four digits, small ones with an exponent. */
export const short = (value: number): string =>
  Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);
