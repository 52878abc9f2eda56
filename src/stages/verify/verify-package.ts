import { InvalidInputError } from '../../core/errors.js';
import type { Graph, ProgressListener } from '../../core/types.js';
import type { Hypothesis, PerplexityResult, VerifySubject } from '../../core/verify-report.js';
import type { Package } from '../../formats/package-reader.js';
import type { Decoder } from '../../runtime/decoder.js';
import { openDecoder } from '../../runtime/open-decoder.js';
import type { TextTokenizer } from '../../runtime/tokenizer.js';
import type { InputFiles } from '../../sources/input-files.js';
import { PackageWeights } from '../package-weights.js';
import { chooseSets, type SetRequest } from './choose-sets.js';
import { type Engine, engineOn } from './engine.js';
import { type Findings, noFindings } from './findings.js';
import { compareLayers } from './inside.js';
import { HiddenStates } from './layers.js';
import { localise } from './localise.js';
import { metricOf, positionMetrics } from './logit-comparison.js';
import type { Reference } from './open-reference.js';
import { checkPackage } from './package-checks.js';
import { allowanceOf } from './rounding.js';
import { type RunContext, runChecks, runDecoding } from './run-checks.js';
import { measurePerplexity } from './run-package.js';
import { checkManifest, describePackage, drawnDecoder, manifestOf, modelOfConfig } from './subject.js';
import { comparedTokens } from './token-sets.js';
import { checkWeights } from './weight-checks.js';
import { weightHypotheses } from './weight-hypotheses.js';

export interface PackageSettings extends SetRequest {
  threads?: number;
  signal?: AbortSignal;
  onProgress: ProgressListener;
}

/** Verifies a package: its files and configs, its weights, then what it computes. */
export async function verifyPackage(
  opened: Package,
  reference: Reference,
  settings: PackageSettings,
): Promise<{ subject: VerifySubject; findings: Findings }> {
  checkManifest(opened);
  const findings = noFindings();
  const subject = describePackage(opened);
  const { checks, tokenizer, graphs, isWhole } = await checkPackage(opened, reference.checkpoint?.model ?? null);
  findings.checks.push(...checks);
  if (!isWhole) {
    findings.notes.push('The package was not run: files are missing or cut short.');
    return { subject, findings };
  }
  const engines: Engine[] = [];
  let decoder: Decoder | undefined;
  try {
    const { own, hypotheses } = await ownEngine(opened, reference, settings, findings);
    if (own) engines.push(own);
    decoder = await openDecoder(opened, { threads: settings.threads });
    const theirs = reference.checkpoint?.engine(decoder.contextLength) ?? null;
    if (theirs) engines.push(theirs);
    await runPackage({ opened, decoder, own, theirs, tokenizer, graphs, reference, hypotheses }, settings, findings);
  } catch (error) {
    // A package that lists its files and does not run is wrong, whatever made it so.
    if (!(error instanceof InvalidInputError) || !manifestOf(opened)) throw error;
    findings.checks.push({ id: 'run', group: 'structure', verdict: 'fail', message: error.message });
  } finally {
    for (const engine of engines) engine.close();
    await decoder?.close();
  }
  return { subject, findings };
}

/** The engine on the package's own numbers and the reference's config, after these numbers were held to the checkpoint's. */
async function ownEngine(
  opened: Package,
  { checkpoint }: Reference,
  settings: PackageSettings,
  findings: Findings,
): Promise<{ own: Engine | null; hypotheses: Hypothesis[] }> {
  const manifest = manifestOf(opened);
  if (!manifest) return { own: null, hypotheses: [] };
  const model = checkpoint?.model ?? (await modelOfConfig(opened.dir, manifest.checkpoint.config));
  const drawn = drawnDecoder(model, manifest.options.contextLength);
  const weights = new PackageWeights(opened.dir, manifest, drawn);
  let hypotheses: Hypothesis[] = [];
  if (checkpoint) {
    const { checks, tensors } = await checkWeights(weights, drawn, checkpoint.logical, settings);
    findings.checks.push(...checks);
    findings.tensors.push(...tensors);
    const packaged = (name: string, files: InputFiles) => weights.values(name, files);
    hypotheses = await weightHypotheses(tensors, checkpoint.logical, packaged, model.config.head_dim);
  }
  return { own: engineOn(drawn, (files) => weights.lookup(files), settings), hypotheses };
}

interface Running {
  opened: Package;
  decoder: Decoder;
  own: Engine | null;
  theirs: Engine | null;
  tokenizer: TextTokenizer | null;
  graphs: ReadonlyMap<string, Graph>;
  reference: Reference;
  hypotheses: Hypothesis[];
}

async function runPackage(running: Running, settings: PackageSettings, findings: Findings): Promise<void> {
  const { opened, decoder, own, theirs, tokenizer, graphs, reference } = running;
  const manifest = manifestOf(opened);
  const { stored } = reference;
  const context: RunContext = {
    opened,
    decoder,
    own,
    reference: theirs,
    isLossless: Boolean(manifest) && weightsAreFloat32(manifest?.tensors ?? {}),
    allowance:
      manifest && own ? allowanceOf(manifest, own.graph) : { isExact: false, relative: 1, reason: 'no manifest' },
    metrics: await positionMetrics(),
    textOf: (id) => tokenizer?.decode([id]) ?? null,
    hidden: { own: new HiddenStates(), reference: new HiddenStates() },
    threads: settings.threads,
    signal: settings.signal,
  };
  const limits = {
    dir: opened.dir,
    vocabulary: decoder.vocabSize,
    contextLength: decoder.contextLength,
    tokenizer,
    bos: opened.genai.model.bos_token_id ?? undefined,
  };
  const { sets, text, notes } = chooseSets(settings, limits, stored, theirs !== null);
  findings.notes.push(...notes);
  findings.tokens = comparedTokens(sets, context.textOf);
  await runChecks(context, sets, findings);
  await runDecoding(context, sets, stored, findings);
  if (sets.length > 0) await compareLayers(context, graphs, sets[0].sequences[0], findings);
  await localise(context, graphs, sets, running.hypotheses, findings);
  if (text) {
    const onWindow = (done: number, total: number) =>
      settings.onProgress({ stage: 'perplexity', doneBytes: done, totalBytes: total, label: text.file });
    const measured = await measurePerplexity(decoder, text, onWindow, settings.signal);
    findings.perplexity = { ...measured, reference: referencePerplexity(measured, findings) };
  }
  const margin = theirs?.margin ?? own?.margin ?? Number.POSITIVE_INFINITY;
  findings.routingMargin = Number.isFinite(margin) ? margin : null;
}

/** Of the reference engine on the same windows, where it ran on them: both have seen the very same predictions. */
function referencePerplexity({ value }: PerplexityResult, { comparisons }: Findings): number | null {
  const compared = comparisons.find(({ set, referee }) => set === 'text' && referee === 'engine');
  return compared ? value / metricOf(compared, 'perplexity_ratio') : null;
}

function weightsAreFloat32(tensors: Record<string, Record<string, { scheme: { scheme: string } }>>): boolean {
  return Object.values(tensors).every((each) => Object.values(each).every(({ scheme }) => scheme.scheme === 'f32'));
}
