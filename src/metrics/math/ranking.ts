/** Indices of the `count` greatest values, greatest first; of equal values the lower index. NaN never ranks. */
export function greatest(row: Float32Array, count: number): number[] {
  const best: number[] = [];
  let least = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < row.length; i++) {
    if (best.length === count ? !(row[i] > least) : Number.isNaN(row[i])) continue;
    let at = best.length;
    while (at > 0 && row[i] > row[best[at - 1]]) at--;
    best.splice(at, 0, i);
    if (best.length > count) best.pop();
    if (best.length === count) least = row[best[count - 1]];
  }
  return best;
}

/** Share of the reference's `count` best ids that are among the actual run's `count` best; 0 where a row is all NaN. */
export function agreement(reference: Float32Array, actual: Float32Array, count: number): number {
  const size = Math.min(count, reference.length);
  const theirs = new Set(greatest(actual, size));
  return greatest(reference, size).filter((id) => theirs.has(id)).length / size;
}
