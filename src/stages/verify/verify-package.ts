import { InvalidInputError } from '../../core/errors.js';
import type { Graph } from '../../core/graph.js';
import type { ProgressListener } from '../../core/progress.js';
import type { Hypothesis, VerifySubject } from '../../core/verify-report.js';
import type { Package } from '../../formats/package-reader.js';
import { inTemporaryDirectory } from '../../formats/temporary-directory.js';
import type { Decoder } from '../../runtime/decoder.js';
import { openDecoder } from '../../runtime/open-decoder.js';
import type { TextTokenizer } from '../../runtime/tokenizer.js';
import type { InputFiles } from '../../sources/input-files.js';
import { PackageWeights } from '../package-weights.js';
import { type ChosenSets, chooseSets, type SetRequest } from './choose-sets.js';
import { type Engine, engineOn } from './engine.js';
import { type Findings, noFindings } from './findings.js';
import { floatStructure } from './float-structure.js';
import { compareLayers } from './inside.js';
import { HiddenStates } from './layers.js';
import { localise } from './localise.js';
import { positionMetrics } from './logit-comparison.js';
import type { Reference } from './open-reference.js';
import { checkPackage } from './package-checks.js';
import { textPerplexity } from './perplexity.js';
import { checkPrediction, type Prediction, predictionOf } from './prediction.js';
import { askCommand, WrongAnswer } from './reference-command.js';
import { rotaryHypotheses } from './rotary-hypotheses.js';
import { allowanceOf, allowanceOfGraphs } from './rounding.js';
import type { RunContext } from './run-context.js';
import { runDecoding } from './run-decoding.js';
import { runSets } from './run-sets.js';
import { type SaveSettings, savedReference } from './save-reference.js';
import { checkManifest, describePackage, drawnDecoder, manifestOf, modelOfPackage } from './subject.js';
import { comparedTokens } from './token-sets.js';
import { unexplainedLogits } from './unexplained.js';
import { checkWeights } from './weight-checks.js';
import { weightHypotheses } from './weight-hypotheses.js';

export interface PackageSettings extends SetRequest {
  /** Whether the command line says what is good enough. */
  isGated: boolean;
  save?: SaveSettings;
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
  const { checks, tokenizer, graphs, isWhole } = await checkPackage(opened, reference);
  findings.checks.push(...checks);
  if (!isWhole) {
    findings.notes.push('The package was not run: files are missing or cut short.');
    return { subject, findings };
  }
  const engines: Engine[] = [];
  let decoder: Decoder | undefined;
  try {
    const { own, hypotheses, prediction } = await ownEngine(opened, reference, settings, findings);
    if (own) engines.push(own);
    // Threads that spin between two runs would take a core from what is computed there.
    const configEntries = { 'intra_op.allow_spinning': '0' };
    decoder = await openDecoder(opened, { threads: settings.threads, configEntries });
    const theirs = reference.checkpoint?.engine(decoder.contextLength) ?? null;
    if (theirs) engines.push(theirs);
    const running = { opened, decoder, own, theirs, tokenizer, graphs, reference, hypotheses, prediction };
    await runPackage(running, settings, findings);
  } catch (error) {
    // A package that lists its files and does not run is wrong, whatever made it so.
    const isOurs = error instanceof InvalidInputError && !(error instanceof WrongAnswer);
    if (!isOurs || !manifestOf(opened)) throw error;
    findings.checks.push({ id: 'run', group: 'structure', verdict: 'fail', message: error.message });
  } finally {
    for (const engine of engines) await engine.close();
    await decoder?.close();
  }
  return { subject, findings };
}

/** The engine on the package's own numbers and the reference's config, after these numbers were held to the checkpoint's. */
async function ownEngine(
  opened: Package,
  { checkpoint, model: theirs }: Reference,
  settings: PackageSettings,
  findings: Findings,
): Promise<{ own: Engine | null; hypotheses: Hypothesis[]; prediction: Prediction | null }> {
  const manifest = manifestOf(opened);
  if (!manifest) return { own: null, hypotheses: [], prediction: null };
  const model = theirs ?? (await modelOfPackage(opened, manifest));
  const drawn = drawnDecoder(model, manifest.options.contextLength);
  const weights = new PackageWeights(opened.dir, manifest, drawn);
  const prediction = predictionOf(opened, manifest, model);
  let hypotheses: Hypothesis[] = [];
  if (checkpoint) {
    const { checks, tensors } = await checkWeights(
      prediction ? [weights, prediction.weights] : [weights],
      checkpoint.logical,
      settings,
    );
    findings.checks.push(...checks);
    findings.tensors.push(...tensors);
    const packaged = (name: string, files: InputFiles) => weights.values(name, files);
    hypotheses = await weightHypotheses(tensors, checkpoint.logical, packaged, model.config.head_dim);
    hypotheses.push(...(await rotaryHypotheses(tensors, drawn, weights)));
  }
  return { own: engineOn(drawn, (files, room) => weights.lookup(files, room), settings), hypotheses, prediction };
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
  prediction: Prediction | null;
}

async function runPackage(running: Running, settings: PackageSettings, findings: Findings): Promise<void> {
  const { opened, decoder, tokenizer, reference } = running;
  const limits = {
    dir: opened.dir,
    vocabulary: decoder.vocabSize,
    contextLength: decoder.contextLength,
    tokenizer,
    bos: opened.genai.model.bos_token_id ?? undefined,
  };
  const canAnswer = reference.checkpoint !== null || reference.command !== null;
  const chosen = chooseSets(settings, limits, reference.stored, canAnswer);
  findings.notes.push(...chosen.notes);
  const { command } = reference;
  if (!command) return runChosen(running, chosen, settings, findings);
  await inTemporaryDirectory(async (dir) => {
    const answer = await askCommand(command, chosen.sets, dir, decoder.vocabSize);
    for (const set of chosen.sets) {
      const stored = answer.sets.find(({ name }) => name === set.name);
      if (stored) set.answers.push({ referee: 'command', stored });
    }
    await runChosen(running, chosen, settings, findings);
  });
}

async function runChosen(
  { opened, decoder, own, theirs, tokenizer, graphs, reference, hypotheses, prediction }: Running,
  { sets, text }: ChosenSets,
  settings: PackageSettings,
  findings: Findings,
): Promise<void> {
  const manifest = manifestOf(opened);
  const context: RunContext = {
    opened,
    decoder,
    own,
    reference: theirs,
    isLossless: manifest ? weightsAreFloat32(manifest.tensors) : [...graphs.values()].every(isFloat32Graph),
    allowance: manifest && own ? allowanceOf(manifest, own.graph) : allowanceOfGraphs([...graphs.values()]),
    metrics: await positionMetrics(),
    textOf: (id) => tokenizer?.decode([id]) ?? null,
    hidden: { own: new HiddenStates(), reference: new HiddenStates() },
    saved: savedReference(settings.save, sets, theirs, reference.model?.checkpoint),
    threads: settings.threads,
    signal: settings.signal,
  };
  findings.tokens = comparedTokens(sets, context.textOf);
  try {
    await runSets(context, sets, findings);
    context.saved?.finish();
  } catch (error) {
    context.saved?.abandon();
    throw error;
  }
  if (!manifest && !context.isLossless)
    findings.checks.push(...unexplainedLogits(findings.comparisons, settings.isGated));
  await runDecoding(context, sets, reference.stored, findings);
  findings.tokens = comparedTokens(sets, context.textOf, findings.greedy);
  if (text) findings.perplexity = await textPerplexity(decoder, text, findings.comparisons, settings);
  // Looking into a package of one graph opens sessions of its own: two at once would take twice the memory of a model.
  if (graphs.size === 1) await decoder.close();
  if (sets.length > 0) await compareLayers(context, graphs, sets[0].sequences[0], findings);
  await floatStructure(context, graphs, sets, findings);
  if (prediction && sets.length > 0) {
    findings.checks.push(...(await checkPrediction(opened, prediction, sets[0].sequences[0], settings)));
  }
  await localise(context, graphs, sets, hypotheses, findings);
  const margin = theirs?.margin ?? own?.margin ?? Number.POSITIVE_INFINITY;
  findings.routingMargin = Number.isFinite(margin) ? margin : null;
}

/** Whether a graph has float32 numbers alone, so that it must compute what a float32 model does. */
const isFloat32Graph = ({ initializers, nodes }: Graph): boolean =>
  initializers.every(({ dtype }) => ['FLOAT', 'INT64', 'INT32', 'BOOL'].includes(dtype)) &&
  !nodes.some(({ op }) => /Quantize|NBits|QMoE/.test(op));

function weightsAreFloat32(tensors: Record<string, Record<string, { scheme: { scheme: string } }>>): boolean {
  return Object.values(tensors).every((each) => Object.values(each).every(({ scheme }) => scheme.scheme === 'f32'));
}
