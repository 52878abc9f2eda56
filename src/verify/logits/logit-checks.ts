import type { Check, Comparison, VerifySubject } from '../../core/verify-report.js';
import type { Answer } from '../tokens/token-set.js';
import { atMost } from '../verdict/limit-check.js';
import { short } from '../verdict/short-number.js';
import { TOLERANCE } from '../verdict/tolerance.js';
import { metricOf } from './logit-comparison.js';

/** Two referees of one set: the engine on the reference's checkpoint and what is stored of it, `gap` apart. */
export function refereesAgree(set: string, referee: Answer['referee'], gap: number): Check {
  const whose = referee === 'command' ? "the command's logits" : 'the stored logits';
  return atMost({
    id: `reference ${set}`,
    group: 'reference',
    measured: gap,
    limit: TOLERANCE,
    unit: 'logits',
    where: referee === 'command' ? '--reference-command' : 'golden.safetensors',
    message: `The reference engine on the checkpoint is ${short(gap)} off ${whose} of ${set} (at most ${TOLERANCE}).`,
  });
}

/** A subject whose weights are the reference's number for number says what the reference says. */
export function losslessCheck(subject: VerifySubject['kind'], comparison: Comparison): Check {
  const value = metricOf(comparison, 'max_abs_difference');
  const numbers =
    subject === 'package' ? "The package has the checkpoint's own numbers" : 'The checkpoint is not rounded';
  return atMost({
    id: `logits ${comparison.set} ${comparison.referee}`,
    group: 'structure',
    measured: value,
    limit: TOLERANCE,
    unit: 'logits',
    message: `${numbers} and its logits on ${comparison.set} are ${short(value)} off the reference (at most ${TOLERANCE}).`,
  });
}

/** Rounded weights: how much of an error is theirs is not known, but one as large as the logits is not rounding. */
export function unrelatedCheck({ set, referee, relativeError }: Comparison): Check {
  const found = `On ${set} the error of the logits is ${short(100 * relativeError)} % of the reference's (${referee})`;
  const isUnrelated = !(relativeError < 1);
  return {
    id: `logits ${set} ${referee}`,
    group: 'structure',
    verdict: isUnrelated ? 'fail' : 'pass',
    measured: relativeError,
    limit: 1,
    unit: 'share of the logits',
    message: isUnrelated ? `${found}: these are not this model's logits.` : `${found}, which rounded weights may be.`,
  };
}
