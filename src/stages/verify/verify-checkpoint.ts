import type { Checkpoint } from '../../core/checkpoint.js';
import { InvalidInputError } from '../../core/errors.js';
import type { VerifySubject } from '../../core/verify-report.js';
import { openCheckpoint } from '../../formats/checkpoint.js';
import { inTemporaryDirectory } from '../../formats/temporary-directory.js';
import type { TextTokenizer } from '../../runtime/tokenizer.js';
import type { InputFiles } from '../../sources/input-files.js';
import { openRows } from '../../sources/read.js';
import { checkCheckpointConfigs, checkCheckpointFiles } from './checkpoint-checks.js';
import { checkFinite, checkpointPairs } from './checkpoint-weights.js';
import { type ChosenSets, chooseSets } from './choose-sets.js';
import { checkCompanions } from './companion-checks.js';
import { type Engine, openReferenceCheckpoint, type ReferenceCheckpoint } from './engine.js';
import { type Findings, noFindings } from './findings.js';
import { checkGgufTokenizer, placeOf } from './gguf-checks.js';
import { HiddenStates, layerErrors } from './layers.js';
import { localise } from './localise.js';
import { LogitComparison, positionMetrics } from './logit-comparison.js';
import type { Reference } from './open-reference.js';
import { openOwnTokenizer } from './package-checks.js';
import { comparedPerplexity } from './perplexity.js';
import { askCommand } from './reference-command.js';
import { keeping, runReference, storedComparison, tokensOf } from './run-sets.js';
import { savedReference } from './save-reference.js';
import { describeCheckpoint } from './subject.js';
import { batchesOf, comparedTokens, type TokenSet } from './token-sets.js';
import type { PackageSettings } from './verify-package.js';
import { checkPairs } from './weight-checks.js';
import { weightHypotheses } from './weight-hypotheses.js';

/**
 * Verifies a checkpoint in another layout against the one that it was made of: files and configs, its decoded weights,
 * and what the reference engine computes from them. There is no graph of its own that could be wrong.
 */
export async function verifyCheckpoint(
  path: string,
  reference: Reference,
  settings: PackageSettings,
): Promise<{ subject: VerifySubject; findings: Findings }> {
  const findings = noFindings();
  const { dir, container, manifest } = placeOf(path);
  findings.checks.push(...(await checkCheckpointFiles(dir, manifest)));
  const opened = await openSubject(path, manifest !== null, findings, settings);
  if (!opened) {
    findings.notes.push('The checkpoint was not evaluated: its files are not what halfbyte.json says.');
    return { subject: await describeCheckpoint(path, null), findings };
  }
  const { checkpoint, own } = opened;
  const { config } = own.model;
  findings.checks.push(...checkCheckpointConfigs(own.model, reference.model, container !== undefined));
  const referenceDir = reference.checkpoint?.model.checkpoint.dir ?? null;
  // Texts for a GGUF file are read by the reference's tokenizer: its own is metadata, which is compared.
  const tokenizerDir = container === undefined ? dir : (referenceDir ?? dir);
  const { tokenizer, checks } = await openOwnTokenizer(tokenizerDir, config.vocab_size, referenceDir);
  if (container === undefined || referenceDir === null) findings.checks.push(...checks);
  if (reference.checkpoint) {
    const theirs = reference.checkpoint.model.checkpoint;
    if (container !== undefined) findings.checks.push(...(await checkGgufTokenizer(container, theirs)));
    // Tokenizer and settings lie in a GGUF file, not beside it: what lies there all the same has to agree.
    const made = container === undefined ? manifest : null;
    findings.checks.push(...(await checkCompanions(dir, made, theirs)));
    const { pairs, missing } = await checkpointPairs(own.logical, reference.checkpoint.logical);
    const found = await checkPairs(pairs, missing, 'checkpoint', settings);
    findings.checks.push(...found.checks);
    findings.tensors.push(...found.tensors);
  } else findings.checks.push(await checkFinite(own.logical, settings));

  const positions = config.max_position_embeddings;
  const engines: Engine[] = [];
  try {
    const mine = own.engine(positions);
    engines.push(mine);
    const theirs = reference.checkpoint?.engine(positions) ?? null;
    if (theirs) engines.push(theirs);
    await runChosen({ checkpoint, mine, theirs, tokenizer, reference, own }, settings, findings);
  } finally {
    for (const engine of engines) await engine.close();
  }
  return { subject: await describeCheckpoint(path, own), findings };
}

/** Opens the checkpoint; null where halfbyte.json has already told that its files are damaged. */
async function openSubject(path: string, hasManifest: boolean, { checks }: Findings, settings: PackageSettings) {
  try {
    const checkpoint = openCheckpoint(path);
    return { checkpoint, own: await openReferenceCheckpoint(checkpoint, settings) };
  } catch (error) {
    const isKnown = checks.some(({ verdict }) => verdict === 'fail');
    if (!(error instanceof InvalidInputError) || !(isKnown || hasManifest)) throw error;
    checks.push({ id: 'open', group: 'integrity', verdict: 'fail', message: error.message });
    return null;
  }
}

interface Running {
  checkpoint: Checkpoint;
  own: ReferenceCheckpoint;
  mine: Engine;
  theirs: Engine | null;
  tokenizer: TextTokenizer | null;
  reference: Reference;
}

async function runChosen(running: Running, settings: PackageSettings, findings: Findings): Promise<void> {
  const { checkpoint, own, mine, tokenizer, reference } = running;
  const { config } = own.model;
  const bos = [checkpoint.generationConfig.bos_token_id ?? checkpoint.config.bos_token_id].flat()[0];
  const limits = {
    dir: checkpoint.dir,
    vocabulary: mine.vocabulary,
    contextLength: config.max_position_embeddings,
    tokenizer,
    bos: typeof bos === 'number' ? bos : undefined,
  };
  const { command } = reference;
  const chosen = chooseSets(settings, limits, reference.stored, running.theirs !== null || command !== null);
  findings.notes.push(...chosen.notes);
  if (!command) return compare(running, chosen, settings, findings);
  await inTemporaryDirectory(async (dir) => {
    const answer = await askCommand(command, chosen.sets, dir, mine.vocabulary);
    for (const set of chosen.sets) {
      const stored = answer.sets.find(({ name }) => name === set.name);
      if (stored) set.answers.push({ referee: 'command', stored });
    }
    await compare(running, chosen, settings, findings);
  });
}

async function compare(
  { own, mine, theirs, tokenizer, reference }: Running,
  { sets, text }: ChosenSets,
  settings: PackageSettings,
  findings: Findings,
): Promise<void> {
  const context = {
    hidden: { own: new HiddenStates(), reference: new HiddenStates() },
    saved: savedReference(settings.save, sets, theirs, reference.model?.checkpoint),
    metrics: await positionMetrics(),
    textOf: (id: number) => tokenizer?.decode([id]) ?? null,
  };
  findings.tokens = comparedTokens(sets, context.textOf);
  try {
    for (const set of sets) await compareSet(mine, theirs, set, context, findings);
    context.saved?.finish();
  } catch (error) {
    context.saved?.abandon();
    throw error;
  }
  const { hidden } = context;
  if (theirs) {
    findings.layers = layerErrors(hidden.reference.states, hidden.own.states);
    findings.layersOf = "the checkpoint's numbers against the reference engine";
  }
  const hypotheses = reference.checkpoint
    ? await weightHypotheses(findings.tensors, reference.checkpoint.logical, matrixOf(own), own.model.config.head_dim)
    : [];
  await localise(null, new Map(), sets, hypotheses, findings);
  if (text) findings.perplexity = comparedPerplexity(text, findings.comparisons);
  const margin = theirs?.margin ?? mine.margin;
  findings.routingMargin = Number.isFinite(margin) ? margin : null;
}

interface SetContext {
  hidden: { own: HiddenStates; reference: HiddenStates };
  saved: ReturnType<typeof savedReference>;
  metrics: Awaited<ReturnType<typeof positionMetrics>>;
  textOf: (id: number) => string | null;
}

async function compareSet(
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
        engine.add(batch.sequences[sequence], position, row, rowAt(start + batch.starts[sequence] + position));
      });
    }
    start += tokens.length;
  }
  findings.comparisons.push(...answers.map(({ comparison }) => comparison.finish()));
  if (engine) findings.comparisons.push(engine.finish());
}

function matrixOf({ logical }: ReferenceCheckpoint) {
  return async (name: string, files: InputFiles) => {
    const tensor = logical.get(name);
    if (!tensor) return undefined;
    const { rows, cols, readFloat32 } = await openRows(tensor.source, files);
    const values = new Float32Array(rows * cols);
    readFloat32(0, rows, values);
    return { rows, cols, values };
  };
}
