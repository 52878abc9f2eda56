import { unreadKeys } from '../blocks/unknown-keys.js';
import type { Calibration } from '../core/calibration.js';
import type { Checkpoint, FileRange } from '../core/checkpoint.js';
import { InvalidInputError, UsageError } from '../core/errors.js';
import type { Graph } from '../core/graph.js';
import type { Finding } from '../core/lint.js';
import type { ConvertOptions } from '../core/options.js';
import type { Job, Plan, PlannedGraph } from '../core/plan.js';
import type { Target, TargetStage } from '../core/target.js';
import { checkpointSource } from '../core/weight-source.js';
import type { LogicalTensor } from '../core/weights.js';
import { storedBytes } from '../engine/units.js';
import { licencesOf } from '../formats/checkpoint.js';
import { foundryModel } from '../formats/foundry-model.js';
import { genaiConfig } from '../formats/genai-config.js';
import { genaiPipelineConfig } from '../formats/genai-pipeline.js';
import { transformersJsConfig } from '../formats/transformers-js-config.js';
import { runPasses } from '../graph/pass.js';
import { checkCoverage, checkShape } from '../model/coverage.js';
import { activationsLost, layoutOf, logicalTensorsOf } from '../model/logical-tensors.js';
import { drawGraphs, type Model, openModel, servedPositions } from '../model/model.js';
import { find, unknownId } from '../registry.js';
import { resolveSource } from '../sources/resolve.js';
import { type ConvertRequest, convertOptions, splitOverride } from './convert-options.js';
import { DataLayout, type PlannedWeight } from './data-layout.js';
import { refuseIdleForms, refuseIdleGlobs, refuseIdleSettings } from './idle-flags.js';
import { gridOverrides, gridToKeep } from './kept-grids.js';
import { unfusedFinding } from './lint.js';

const productOf = (shape: number[]) => shape.reduce((product, each) => product * each, 1);

/** Rows and columns of a weight: its last axis is the input dimension; a vector is one row. */
function matrixOf(shape: number[]): { rows: number; cols: number } {
  const cols = shape.length === 0 ? 1 : shape[shape.length - 1];
  return { rows: cols === 0 ? 0 : productOf(shape) / cols, cols };
}

function totalsOf(jobs: Job[]): Plan['totals'] {
  let parameters = 0;
  let weightBytes = 0;
  let sourceBytes = 0;
  for (const { source, outputs } of jobs) {
    if (source.kind === 'rotary') continue;
    parameters += source.rows * source.cols;
    sourceBytes += storedBytes(source);
    for (const { nbytes } of Object.values(outputs)) weightBytes += nbytes;
  }
  return { parameters, weightBytes, sourceBytes, bitsPerWeight: parameters ? (8 * weightBytes) / parameters : 0 };
}

/**
 * Decides everything from headers: graphs, data files with every offset, jobs and texts. No weight byte is read.
 * Throws UsageError and InvalidInputError.
 */
export async function plan(
  checkpoint: Checkpoint,
  request: ConvertRequest,
  calibration?: Calibration,
  /** Hears what tensors and values of the input show and its config.json does not say. */
  note?: (text: string) => void,
): Promise<Plan> {
  const model = await openModel(checkpoint, note);
  const unreadConfigKeys = unreadKeys(checkpoint.config, model.architecture.keys);
  if (request.strictConfig && unreadConfigKeys.length > 0) refuseUnread(unreadConfigKeys, model.config.model_type);
  const isGguf = checkpoint.files.every(({ name }) => name.endsWith('.gguf'));
  if (isGguf && !checkpoint.companions.includes('tokenizer.json')) {
    note?.(
      'no tokenizer.json lies beside the GGUF file, and none is made of its metadata: the package takes and gives token ids only.',
    );
  }
  const targetId = request.target ?? 'cpu';
  const target: Target | undefined = await find('targets', targetId);
  if (!target) throw new UsageError(`--target ${targetId}: ${unknownId('targets', targetId)}`, '--target cpu.');
  const logical = await logicalTensorsOf(model, note);
  const { layout: worn } = await layoutOf(checkpoint);
  const activations = worn.activations?.(checkpoint.config) ?? [];
  if (activations.length > 0) note?.(activationsLost(activations, 'a package'));
  const options = await optionsFor(request, target, model, logical);
  tellShorterContext(request, model, note);
  const drawn = drawGraphs(model, options.contextLength);
  checkCoverage(model, Object.values(drawn), logical, note);
  refuseIdleFlags(request, target, options, Object.values(drawn));

  const layout = new DataLayout();
  const graphs: PlannedGraph[] = [];
  const findings: Finding[] = [];
  for (const [name, graph] of Object.entries(drawn)) {
    for (const stage of target.stages(options, name, calibration?.ranges)) {
      const { graph: lowered, unfused } = runPasses(graph, stage.passes);
      findings.push(...unfused.map((each) => unfusedFinding(stage.file, each)));
      graphs.push({
        file: stage.file,
        graph: lowered,
        external: await placeWeights(lowered, stage, layout, logical),
        ...(stage.pipeline ? { pipeline: stage.pipeline } : {}),
      });
    }
  }
  const config = graphs.some(({ pipeline }) => pipeline) ? genaiPipelineConfig : genaiConfig;
  return {
    options,
    checkpoint: { dir: checkpoint.dir, files: checkpoint.files, config: model.checkpoint.config },
    graphs,
    files: layout.files(),
    jobs: layout.jobs,
    texts: [
      { name: 'genai_config.json', content: config(checkpoint, model.config, options, graphs) },
      ...(options.foundry === undefined
        ? []
        : [{ name: 'inference_model.json', content: foundryModel(options.foundry) }]),
      ...(target.transformersJs
        ? [{ name: 'config.json', content: transformersJsConfig(checkpoint, model.config, graphs) }]
        : []),
    ],
    // beside a file there may be anything
    copies: isGguf ? checkpoint.companions : [...checkpoint.companions, ...licencesOf(checkpoint.dir)],
    totals: totalsOf(layout.jobs),
    ...(calibration && options.activations === 'uint16' ? { calibration: calibration.origin } : {}),
    findings,
    unreadConfigKeys,
  };
}

function refuseIdleFlags(request: ConvertRequest, target: Target, options: ConvertOptions, drawn: Graph[]): void {
  const { weights, embeddings, lmHead, overrides } = options;
  refuseIdleForms(request, target.defaults, drawn);
  refuseIdleSettings(request, [weights, embeddings, lmHead, ...overrides.map(({ scheme }) => scheme)]);
  const { only, skip, override = [] } = request;
  const matrices = drawn.flatMap((graph) => Object.values(graph.weights).filter(({ role }) => role !== 'float'));
  const names = matrices.map(({ name }) => name);
  refuseIdleGlobs({ only, skip, overrides: override.map(splitOverride) }, names);
}

function refuseUnread(keys: string[], family: string): never {
  throw new InvalidInputError(
    `config.json: architecture ${family} does not read ${keys.map((key) => `"${key}"`).join(', ')}, and does not know ` +
      'whether they matter; --strict-config refuses such keys.',
    'find out what they mean; if they change nothing at inference, convert without --strict-config.',
  );
}

/** Says why a package serves fewer positions than the model, where nobody asked for that. */
function tellShorterContext({ contextLength }: ConvertRequest, { config }: Model, note?: (text: string) => void): void {
  const served = servedPositions(config);
  const { max_position_embeddings: positions } = config;
  if (contextLength !== undefined || served === positions) return;
  note?.(
    `config.json: the rope turns by other frequencies as soon as a text is longer than ${served} tokens, those before it ` +
      `included; the package serves ${served} positions, the model ${positions} (docs/models.md).`,
  );
}

/** The options of a conversion; where nothing is said about schemes, integer grids of the checkpoint are kept. */
async function optionsFor(
  request: ConvertRequest,
  target: Target,
  { architecture, config }: Model,
  logical: ReadonlyMap<string, LogicalTensor>,
): Promise<ConvertOptions> {
  const options = await convertOptions(request, target, config);
  const { weights, groupSize, asymmetric, scales, algorithm } = request;
  if ([weights, groupSize, asymmetric, scales, algorithm].some((each) => each !== undefined)) return options;
  const kept = await gridOverrides(logical, options, (args) => target.check({ ...options, weights: args }));
  const tied = Object.entries(architecture.weights(config, options)).flatMap(([pattern, source]) => {
    const table = typeof source === 'object' && 'tied' in source ? source.tied : undefined;
    return kept.filter((each) => each.pattern === table).map(({ scheme }) => ({ pattern, scheme }));
  });
  return { ...options, overrides: [...kept, ...tied, ...options.overrides] };
}

/** Resolves and places each weight that initializers of a lowered graph take parts of; returns their byte ranges. */
async function placeWeights(
  graph: Graph,
  stage: TargetStage,
  layout: DataLayout,
  logical: ReadonlyMap<string, LogicalTensor>,
): Promise<Record<string, FileRange>> {
  const external: Record<string, FileRange> = {};
  const placed = new Map<string, Record<string, FileRange>>();
  for (const { name, content } of graph.initializers) {
    if ('values' in content) continue;
    let parts = placed.get(content.weight);
    if (!parts) {
      parts = layout.place(await plannedWeight(graph, content.weight, logical), stage);
      placed.set(content.weight, parts);
    }
    external[name] = parts[content.part];
  }
  return external;
}

async function plannedWeight(
  graph: Graph,
  name: string,
  logical: ReadonlyMap<string, LogicalTensor>,
): Promise<PlannedWeight> {
  const weight = graph.weights[name];
  if (!weight?.scheme) throw new Error(`weight ${name} has no scheme`);
  const scheme = await find('schemes', weight.scheme.scheme);
  if (!scheme) throw new Error(`scheme ${weight.scheme.scheme} is not registered`);
  const source = resolveSource(checkpointSource(weight, graph.weights), (each) => logical.get(each));
  checkShape(weight, source, logical);
  const keepsCodes = (await gridToKeep(source, weight.scheme, false, () => {})) !== undefined;
  return { weight: weight as PlannedWeight['weight'], source, ...matrixOf(weight.shape), scheme, keepsCodes };
}
