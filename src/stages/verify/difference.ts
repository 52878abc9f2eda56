/** Greatest absolute difference of two runs' logits [tokens, width] and the row of it; NaN where one is not a number. */
export function largestDifference(
  reference: Float32Array,
  actual: Float32Array,
  width: number,
): { value: number; row: number } {
  if (reference.length !== actual.length) throw new Error(`${reference.length} logits against ${actual.length}`);
  let value = 0;
  let at = 0;
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs(reference[i] - actual[i]);
    if (difference <= value) continue;
    value = difference;
    at = i;
    if (Number.isNaN(difference)) break;
  }
  return { value, row: Math.floor(at / width) };
}
