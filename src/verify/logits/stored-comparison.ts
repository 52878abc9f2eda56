import type { Answer } from '../tokens/token-set.js';
import { LogitComparison, type PositionMetrics, type TokenText } from './logit-comparison.js';

/** A stored answer beside the run that is compared with it. */
export interface StoredComparison extends Answer {
  comparison: LogitComparison;
  /** Greatest difference between it and the reference engine. */
  gap: number;
}

/** The comparison with a stored answer; of a reduced one the metrics that the kept logits give. */
export function storedComparison(
  set: string,
  { referee, stored }: Answer,
  metrics: PositionMetrics,
  textOf: TokenText,
): StoredComparison {
  const whole = ['cosine', 'max_abs_difference'];
  const kept = stored.logits.isReduced ? new Map([...metrics].filter(([id]) => !whole.includes(id))) : metrics;
  return { referee, stored, comparison: new LogitComparison(set, referee, kept, textOf), gap: 0 };
}

/** Takes the reference engine's logits of a token beside the stored ones. */
export function widenGap(answer: StoredComparison, token: number, row: Float32Array): void {
  const stored = answer.stored.logits.row(token, row);
  for (let i = 0; i < row.length; i++) {
    const difference = Math.abs(stored[i] - row[i]);
    if (!(difference <= answer.gap) && !Number.isNaN(answer.gap)) answer.gap = difference;
  }
}
