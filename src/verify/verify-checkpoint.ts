import type { Checkpoint } from '../core/checkpoint.js';
import { InvalidInputError } from '../core/errors.js';
import type { VerifySubject } from '../core/verify-report.js';
import { openCheckpoint } from '../formats/checkpoint.js';
import type { TextTokenizer } from '../runtime/tokenizer.js';
import type { InputFiles } from '../sources/input-files.js';
import { openRows } from '../sources/read.js';
import { localise } from './faults/localise.js';
import { weightHypotheses } from './faults/weight-hypotheses.js';
import { checkCheckpointConfigs, checkCheckpointFiles } from './files/checkpoint-checks.js';
import { checkCompanions } from './files/companion-checks.js';
import { checkGgufTokenizer } from './files/gguf-tokenizer-checks.js';
import { openOwnTokenizer } from './files/tokenizer-checks.js';
import { compareSet } from './logits/engine-sets.js';
import { HiddenStates, layerErrors } from './logits/hidden-states.js';
import { positionMetrics } from './logits/logit-comparison.js';
import { comparedPerplexity } from './logits/perplexity.js';
import type { Engine } from './referees/engine-on-weights.js';
import type { Reference } from './referees/open-reference.js';
import { openReferenceCheckpoint, type ReferenceCheckpoint } from './referees/reference-checkpoint.js';
import { savedReference } from './referees/saved-reference.js';
import type { VerifySettings } from './settings.js';
import { placeOf } from './subject/checkpoint-place.js';
import { describeCheckpoint } from './subject/describe-subject.js';
import { withAnsweredSets } from './tokens/answered-sets.js';
import type { ChosenSets } from './tokens/choose-sets.js';
import { comparedTokens } from './tokens/token-set.js';
import { type Findings, noFindings } from './verdict/found-so-far.js';
import { checkFinite } from './weights/finite-numbers.js';
import { keepsNumbers } from './weights/kept-numbers.js';
import { checkPairs } from './weights/weight-checks.js';
import { checkpointPairs } from './weights/weight-pairs.js';

/**
 * Verifies a checkpoint in another layout against the one that it was made of: files and configs, its decoded weights,
 * and what the reference engine computes from them. There is no graph of its own that could be wrong.
 */
export async function verifyCheckpoint(
  path: string,
  reference: Reference,
  settings: VerifySettings,
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

  const { positions } = own;
  const engines: Engine[] = [];
  try {
    const mine = own.engine(positions);
    engines.push(mine);
    const theirs = reference.checkpoint?.engine(positions) ?? null;
    if (theirs) engines.push(theirs);
    const isLossless = await keepsNumbers(own.logical, manifest, reference.checkpoint ? findings.tensors : null);
    await runChosen({ checkpoint, mine, theirs, tokenizer, reference, own, isLossless }, settings, findings);
  } finally {
    for (const engine of engines) await engine.close();
  }
  return { subject: await describeCheckpoint(path, own), findings };
}

/** Opens the checkpoint; null where halfbyte.json has already told that its files are damaged. */
async function openSubject(path: string, hasManifest: boolean, { checks }: Findings, settings: VerifySettings) {
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
  isLossless: boolean;
}

async function runChosen(running: Running, settings: VerifySettings, findings: Findings): Promise<void> {
  const { checkpoint, own, mine, tokenizer, reference } = running;
  const bos = [checkpoint.generationConfig.bos_token_id ?? checkpoint.config.bos_token_id].flat()[0];
  const limits = {
    dir: checkpoint.dir,
    vocabulary: mine.vocabulary,
    contextLength: own.positions,
    tokenizer,
    bos: typeof bos === 'number' ? bos : undefined,
  };
  await withAnsweredSets(settings, limits, reference, (chosen) => compare(running, chosen, settings, findings));
}

async function compare(
  { own, mine, theirs, tokenizer, reference, isLossless }: Running,
  { sets, text, notes }: ChosenSets,
  settings: VerifySettings,
  findings: Findings,
): Promise<void> {
  const texts = await tokenizer?.eachText(mine.vocabulary);
  const context = {
    hidden: { own: new HiddenStates(), reference: new HiddenStates() },
    saved: savedReference(settings.save, sets, theirs, reference.model?.checkpoint),
    metrics: await positionMetrics(),
    textOf: (id: number) => texts?.[id] ?? null,
    isLossless,
  };
  findings.notes.push(...notes, ...(tokenizer?.notes ?? []));
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
