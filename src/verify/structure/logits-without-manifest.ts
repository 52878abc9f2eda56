import type { Check, Comparison } from '../../core/verify-report.js';
import { metricOf } from '../logits/logit-comparison.js';
import { short } from '../verdict/short-number.js';
import { TOLERANCE } from '../verdict/tolerance.js';

/**
 * What the logits of a package without manifest say. Its weights are not known, so that rounding cannot be told from a
 * mistake: equal logits pass, logits further off than none at all would be (an error as large as the logits) fail, and
 * what lies between is left to gates.
 */
export function unexplainedLogits(comparisons: Comparison[], isGated: boolean): Check[] {
  return comparisons.flatMap((comparison): Check[] => {
    const { set, referee, relativeError } = comparison;
    const difference = metricOf(comparison, 'max_abs_difference');
    const isEqual = difference <= TOLERANCE;
    const isUnrelated = !(relativeError < 1);
    if (!isEqual && !isUnrelated && isGated) return [];
    const found = `On ${set} the error of the logits is ${short(100 * relativeError)} % of the reference's (${referee})`;
    const message = isEqual
      ? `On ${set} the logits are ${short(difference)} off the reference's (at most ${TOLERANCE}).`
      : isUnrelated
        ? `${found}: these are not this model's logits.`
        : `${found}; without halfbyte.json the error of rounded weights cannot be told from a mistake: give a --gate.`;
    return [
      {
        id: `logits ${set} ${referee}`,
        group: 'structure',
        verdict: isEqual ? 'pass' : isUnrelated ? 'fail' : 'ambiguous',
        measured: isEqual ? difference : relativeError,
        limit: isEqual ? TOLERANCE : 1,
        unit: isEqual ? 'logits' : 'share of the logits',
        message,
      },
    ];
  });
}
