import type { Check } from '../../core/verify-report.js';

/** A number held to an upper limit; NaN fails. */
export function atMost(check: Omit<Check, 'verdict'> & { measured: number; limit: number }): Check {
  return { ...check, verdict: check.measured <= check.limit ? 'pass' : 'fail' };
}
