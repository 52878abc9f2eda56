import { InvalidInputError } from '../core/errors.js';
import type { Graph } from '../core/graph.js';
import type { Hypothesis, VerifySubject } from '../core/verify-report.js';
import type { Package } from '../formats/package-reader.js';
import type { Decoder } from '../runtime/decoder.js';
import { openDecoder } from '../runtime/open-decoder.js';
import type { TextTokenizer } from '../runtime/tokenizer.js';
import type { InputFiles } from '../sources/input-files.js';
import { localise } from './faults/localise.js';
import { rotaryHypotheses } from './faults/rotary-hypotheses.js';
import { weightHypotheses } from './faults/weight-hypotheses.js';
import { checkPackage } from './files/package-checks.js';
import { HiddenStates } from './logits/hidden-states.js';
import { positionMetrics } from './logits/logit-comparison.js';
import { textPerplexity } from './logits/perplexity.js';
import { type Engine, engineOn } from './referees/engine-on-weights.js';
import type { Reference } from './referees/open-reference.js';
import { WrongAnswer } from './referees/reference-command.js';
import { savedReference } from './referees/saved-reference.js';
import type { VerifySettings } from './settings.js';
import { allowanceOf, allowanceOfGraphs } from './structure/allowance.js';
import { runDecoding } from './structure/decoding.js';
import { compareLayers } from './structure/layer-errors.js';
import { unexplainedLogits } from './structure/logits-without-manifest.js';
import { checkPrediction } from './structure/prediction.js';
import type { RunContext } from './structure/run-context.js';
import { runSets } from './structure/run-sets.js';
import { floatStructure } from './structure/structure-in-float.js';
import { describePackage } from './subject/describe-subject.js';
import { drawnDecoder, manifestOf, modelOfPackage } from './subject/package-manifest.js';
import { PackageWeights } from './subject/package-weights.js';
import { type Prediction, predictionOf } from './subject/prediction-graph.js';
import { withAnsweredSets } from './tokens/answered-sets.js';
import type { ChosenSets } from './tokens/choose-sets.js';
import { comparedTokens } from './tokens/token-set.js';
import { type Findings, noFindings } from './verdict/found-so-far.js';
import { checkWeights } from './weights/weight-checks.js';

/** Verifies a package: its files and configs, its weights, then what it computes. */
export async function verifyPackage(
  opened: Package,
  reference: Reference,
  settings: VerifySettings,
): Promise<{ subject: VerifySubject; findings: Findings }> {
  manifestOf(opened);
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
    const { own, weightFaults, prediction } = await ownEngine(opened, reference, settings, findings);
    if (own) engines.push(own);
    // Threads that spin between two runs would take a core from what is computed there.
    const configEntries = { 'intra_op.allow_spinning': '0' };
    decoder = await openDecoder(opened, { threads: settings.threads, configEntries });
    const theirs = reference.checkpoint?.engine(decoder.contextLength) ?? null;
    if (theirs) engines.push(theirs);
    const running = { opened, decoder, own, theirs, tokenizer, graphs, reference, weightFaults, prediction };
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
  settings: VerifySettings,
  findings: Findings,
): Promise<Pick<Running, 'own' | 'weightFaults' | 'prediction'>> {
  const manifest = manifestOf(opened);
  let weightFaults: Running['weightFaults'] = async () => [];
  if (!manifest) return { own: null, weightFaults, prediction: null };
  const model = theirs ?? (await modelOfPackage(opened, manifest));
  const drawn = drawnDecoder(model, manifest.options.contextLength);
  const weights = new PackageWeights(opened.dir, manifest, drawn);
  const prediction = predictionOf(opened, manifest, model);
  if (checkpoint) {
    const { checks, tensors } = await checkWeights(
      prediction ? [weights, prediction.weights] : [weights],
      checkpoint.logical,
      settings,
    );
    findings.checks.push(...checks);
    findings.tensors.push(...tensors);
    const packaged = (name: string, files: InputFiles) => weights.values(name, files);
    weightFaults = async () => [
      ...(await weightHypotheses(tensors, checkpoint.logical, packaged, model.config.head_dim)),
      ...(await rotaryHypotheses(tensors, drawn, weights)),
    ];
  }
  return { own: engineOn(drawn, (files, room) => weights.lookup(files, room), settings), weightFaults, prediction };
}

interface Running {
  opened: Package;
  decoder: Decoder;
  own: Engine | null;
  theirs: Engine | null;
  tokenizer: TextTokenizer | null;
  graphs: ReadonlyMap<string, Graph>;
  reference: Reference;
  /** What may have been done wrong with the weights that are off. */
  weightFaults: () => Promise<Hypothesis[]>;
  prediction: Prediction | null;
}

async function runPackage(running: Running, settings: VerifySettings, findings: Findings): Promise<void> {
  const { opened, decoder, tokenizer, reference } = running;
  const limits = {
    dir: opened.dir,
    vocabulary: decoder.vocabSize,
    contextLength: decoder.contextLength,
    tokenizer,
    bos: opened.genai.model.bos_token_id ?? undefined,
  };
  await withAnsweredSets(settings, limits, reference, (chosen) => runChosen(running, chosen, settings, findings));
}

async function runChosen(
  { opened, decoder, own, theirs, tokenizer, graphs, reference, weightFaults, prediction }: Running,
  { sets, text, notes }: ChosenSets,
  settings: VerifySettings,
  findings: Findings,
): Promise<void> {
  const manifest = manifestOf(opened);
  const texts = await tokenizer?.eachText(decoder.vocabSize);
  const context: RunContext = {
    opened,
    decoder,
    own,
    reference: theirs,
    isLossless: manifest ? weightsAreFloat32(manifest.tensors) : [...graphs.values()].every(isFloat32Graph),
    allowance: manifest && own ? allowanceOf(manifest, own.graph) : allowanceOfGraphs([...graphs.values()]),
    metrics: await positionMetrics(),
    textOf: (id) => texts?.[id] ?? null,
    hidden: { own: new HiddenStates(), reference: new HiddenStates() },
    saved: savedReference(settings.save, sets, theirs, reference.model?.checkpoint),
    threads: settings.threads,
    signal: settings.signal,
  };
  findings.notes.push(...notes, ...(tokenizer?.notes ?? []));
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
  await localise(context, graphs, sets, await weightFaults(), findings);
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
