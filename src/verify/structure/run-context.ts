import type { Package } from '../../formats/package-reader.js';
import type { Decoder } from '../../runtime/decoder.js';
import type { HiddenStates } from '../logits/hidden-states.js';
import type { positionMetrics, TokenText } from '../logits/logit-comparison.js';
import type { Engine } from '../referees/engine-on-weights.js';
import type { SavedReference } from '../referees/saved-reference.js';
import type { Allowance } from './allowance.js';

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
  threads?: number | undefined;
  signal?: AbortSignal | undefined;
}
