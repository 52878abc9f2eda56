import { losslessCheck, refereesAgree } from '../logits/logit-checks.js';
import { LogitComparison } from '../logits/logit-comparison.js';
import { keeping, runReference } from '../logits/reference-run.js';
import { storedComparison, widenGap } from '../logits/stored-comparison.js';
import { batchesOf, tokensOf } from '../tokens/batches.js';
import type { TokenSet } from '../tokens/token-set.js';
import type { Findings } from '../verdict/found-so-far.js';
import { packageLogits } from './package-logits.js';
import type { RunContext } from './run-context.js';
import { StructureDifference } from './structure-difference.js';
import { windowErrors } from './window-errors.js';

/** Runs package and referees over every token set and judges what the package computes. */
export async function runSets(context: RunContext, sets: TokenSet[], findings: Findings): Promise<void> {
  for (const set of sets) await runSet(context, set, findings);
}

async function runSet(context: RunContext, set: TokenSet, findings: Findings): Promise<void> {
  const { decoder, metrics, textOf, own, reference } = context;
  const width = decoder.vocabSize;
  const other = set.answers.find(({ stored }) => stored.vocabulary !== width);
  if (other) {
    findings.checks.push({
      id: `vocabulary ${set.name}`,
      group: 'structure',
      verdict: 'fail',
      message: `The package has ${width} logits a token, the reference ${other.stored.vocabulary}.`,
      where: 'genai_config.json',
    });
    return;
  }
  const answers = set.answers.map((answer) => storedComparison(set.name, answer, metrics, textOf));
  const engine = reference ? new LogitComparison(set.name, 'engine', metrics, textOf) : null;
  const structure = own ? new StructureDifference(context.allowance) : null;
  const windows = own ? windowErrors(context, set.name) : null;
  let start = 0;
  for (const batch of batchesOf(set.sequences, width)) {
    const actual = await packageLogits(context.opened, decoder, batch.sequences, context.signal);
    const rowAt = (token: number) => actual.subarray((token - start) * width, (token - start + 1) * width);
    const tokens = tokensOf(batch, start);
    for (const { comparison, stored } of answers) {
      for (const { ids, position, token } of tokens) {
        const row = rowAt(token);
        comparison.add(ids, position, stored.logits.row(token, row), row, stored.logits.klBound());
      }
    }
    if (own && structure && (batch.from === 0 || !reference)) {
      await own.run(batch.sequences, {
        ...keeping(context.hidden.own, batch),
        onRoutingMargin: (margin) => structure.decide(margin, batch.from + margin.sequence),
        onLogits: (sequence, position, row) => {
          const token = batch.starts[sequence] + position + start;
          structure.add(batch.from + sequence, position, token, row, rowAt(token));
          windows?.add(batch.from + sequence, position, row, rowAt(token));
        },
      });
    }
    if (reference && engine) {
      await runReference(context, reference, set, batch, (sequence, position, row) => {
        const token = batch.starts[sequence] + position + start;
        engine.add(batch.sequences[sequence], position, row, rowAt(token));
        for (const each of answers) if (each.stored.logits.isFloat32) widenGap(each, token, row);
      });
    }
    start += actual.length / width;
  }
  const comparisons = [...answers.map(({ comparison }) => comparison), ...(engine ? [engine] : [])];
  const finished = comparisons.map((each) => each.finish());
  findings.comparisons.push(...finished);
  if (structure) findings.checks.push(structure.check(set.name));
  if (windows) {
    findings.windows = [...(findings.windows ?? []), ...windows.errors];
    findings.checks.push(windows.check());
  }
  if (reference) {
    const float32 = answers.filter(({ stored }) => stored.logits.isFloat32);
    findings.checks.push(...float32.map(({ referee, gap }) => refereesAgree(set.name, referee, gap)));
  }
  if (context.isLossless) {
    const whole = finished.filter((_, index) => answers[index]?.stored.logits.isFloat32 ?? true);
    findings.checks.push(...whole.map((each) => losslessCheck('package', each)));
  }
}
