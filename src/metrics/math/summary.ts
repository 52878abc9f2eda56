/** Arithmetic mean; NaN of nothing. */
export function mean(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

/** Greatest value; NaN if one is NaN or there is none. */
export function maximum(values: Float64Array): number {
  if (values.length === 0) return Number.NaN;
  let most = -Infinity;
  for (const value of values) if (value > most || Number.isNaN(value)) most = value;
  return most;
}

/** The value below which `share` (0 to 1) of the values lie, interpolated linearly (numpy's default). NaN of nothing. */
export function percentile(values: Float64Array, share: number): number {
  if (values.length === 0 || values.some(Number.isNaN)) return Number.NaN;
  const sorted = values.slice().sort();
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const rest = place - below;
  return rest === 0 ? sorted[below] : sorted[below] * (1 - rest) + sorted[below + 1] * rest;
}
