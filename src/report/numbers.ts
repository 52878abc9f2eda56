/** A number with so many significant digits: small ones with an exponent, 7.6e-6 rather than 0.0000076. */
export function digits(value: number, count = 4): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'not a number' : value > 0 ? 'infinite' : '-infinite';
  const rounded = Number(value.toPrecision(count));
  const size = Math.abs(rounded);
  if (size !== 0 && size < 1e-4) return rounded.toExponential().replace('e+', 'e');
  return String(rounded);
}

/** A share as a percentage with three digits. */
export const percent = (share: number, count = 3): string => `${digits(100 * share, count)} %`;

/** A count with spaces between thousands: 1 772 480. */
export const grouped = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, '\u202f');
