import type { VerifyReport } from '../../core/verify-report.js';

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
