import type { Check, VerifyReport } from '../../core/verify-report.js';

/** What a verification has found so far: the parts of the report that its steps fill. */
export type Findings = Pick<
  VerifyReport,
  | 'checks'
  | 'comparisons'
  | 'tokens'
  | 'perplexity'
  | 'decode'
  | 'greedy'
  | 'windows'
  | 'layersOf'
  | 'layers'
  | 'tensors'
  | 'localisation'
  | 'routingMargin'
  | 'notes'
>;

export const noFindings = (): Findings => ({
  checks: [],
  comparisons: [],
  perplexity: null,
  decode: [],
  greedy: null,
  layers: [],
  tensors: [],
  localisation: null,
  routingMargin: null,
  notes: [],
});

/** A number for a sentence: four digits, small ones with an exponent. */
export const short = (value: number): string =>
  Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);

/** A number held to an upper limit; NaN fails. */
export function atMost(check: Omit<Check, 'verdict'> & { measured: number; limit: number }): Check {
  return { ...check, verdict: check.measured <= check.limit ? 'pass' : 'fail' };
}
