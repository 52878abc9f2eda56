import type { Engine } from '../referees/engine-on-weights.js';
import type { SavedReference } from '../referees/saved-reference.js';
import { batchesOf, tokensOf } from '../tokens/batches.js';
import type { TokenSet } from '../tokens/token-set.js';
import type { Findings } from '../verdict/found-so-far.js';
import type { HiddenStates } from './hidden-states.js';
import { losslessCheck, refereesAgree, unrelatedCheck } from './logit-checks.js';
import { LogitComparison, type PositionMetrics, type TokenText } from './logit-comparison.js';
import { keeping, runReference } from './reference-run.js';
import { storedComparison, widenGap } from './stored-comparison.js';

interface SetContext {
  hidden: { own: HiddenStates; reference: HiddenStates };
  saved: SavedReference | null;
  metrics: PositionMetrics;
  textOf: TokenText;
  /** Whether the checkpoint's weights are those of what it was made of, number for number. */
  isLossless: boolean;
}

/**
 * What a checkpoint's engine says of a token set beside the stored answers and the reference's engine. An answer that has
 * another number of logits a token is a failed check; stored float32 logits are held to both engines.
 */
export async function compareSet(
  mine: Engine,
  theirs: Engine | null,
  set: TokenSet,
  context: SetContext,
  findings: Findings,
): Promise<void> {
  const { metrics, textOf, hidden } = context;
  const width = mine.vocabulary;
  const known = set.answers.filter(({ stored }) => stored.vocabulary === width);
  if (known.length < set.answers.length) {
    const message = `The checkpoint has ${width} logits a token, the reference of ${set.name} another number.`;
    findings.checks.push({ id: `vocabulary ${set.name}`, group: 'integrity', verdict: 'fail', message });
  }
  const answers = known.map((answer) => storedComparison(set.name, answer, metrics, textOf));
  const engine = theirs ? new LogitComparison(set.name, 'engine', metrics, textOf) : null;
  let start = 0;
  for (const batch of batchesOf(set.sequences, width)) {
    const tokens = tokensOf(batch, start);
    const actual = (await mine.run(batch.sequences, keeping(hidden.own, batch))).logits;
    const rowAt = (token: number) => actual.subarray((token - start) * width, (token - start + 1) * width);
    for (const { comparison, stored } of answers) {
      for (const { ids, position, token } of tokens) {
        const row = rowAt(token);
        comparison.add(ids, position, stored.logits.row(token, row), row, stored.logits.klBound());
      }
    }
    if (theirs && engine) {
      await runReference(context, theirs, set, batch, (sequence, position, row) => {
        const token = start + batch.starts[sequence] + position;
        engine.add(batch.sequences[sequence], position, row, rowAt(token));
        for (const each of answers) if (each.stored.logits.isFloat32) widenGap(each, token, row);
      });
    }
    start += tokens.length;
  }
  for (const { comparison, stored, referee, gap } of answers) {
    const finished = comparison.finish();
    findings.comparisons.push(finished);
    const { isFloat32 } = stored.logits;
    if (theirs && isFloat32) findings.checks.push(refereesAgree(set.name, referee, gap));
    if (context.isLossless && isFloat32) findings.checks.push(losslessCheck('checkpoint', finished));
    else findings.checks.push(unrelatedCheck(finished));
  }
  if (!engine) return;
  const finished = engine.finish();
  findings.comparisons.push(finished);
  if (context.isLossless) findings.checks.push(losslessCheck('checkpoint', finished));
}
