import type { Package } from '../../formats/package-reader.js';
import type { Decoder } from '../../runtime/decoder.js';
import type { Engine } from './engine.js';
import type { HiddenStates } from './layers.js';
import type { positionMetrics, TokenText } from './logit-comparison.js';
import type { SavedReference } from './save-reference.js';

/** Float32 implementations are up to 5e-5 apart in logits; the smallest mistake tried moves them by 1e-3. */
export const TOLERANCE = 2e-4;

/** A package at work beside its referees. */
export interface RunContext {
  opened: Package;
  decoder: Decoder;
  /** The engine on the package's own dequantized weights; null without a manifest. */
  own: Engine | null;
  /** The engine on the reference checkpoint's weights; null where the reference is stored logits. */
  reference: Engine | null;
  /** Whether the package's numbers are the checkpoint's, so that its logits must be as well. */
  isLossless: boolean;
  /** What the package's logits may differ by from what its numbers say. */
  allowance: Allowance;
  metrics: Awaited<ReturnType<typeof positionMetrics>>;
  textOf: TokenText;
  /** Hidden states of the first tokens of the first set, as each engine had them. */
  hidden: { own: HiddenStates; reference: HiddenStates };
  /** Where the reference's logits are kept; null where they are not. */
  saved: SavedReference | null;
  threads?: number;
  signal?: AbortSignal;
}

/**
 * `exact`: float arithmetic, 2e-4. Otherwise activations are rounded on the way, and the root mean square of the
 * logits' error over that of the logits may be `relative`: how it is derived stands in `rounding.ts`.
 */
export interface Allowance {
  isExact: boolean;
  relative: number;
  reason: string;
}
