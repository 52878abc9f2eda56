import { join } from 'node:path';
import { isCacheScale } from '../core/cache-scales.js';
import type { Checkpoint } from '../core/checkpoint.js';
import type { DressedCheckpoint, DressedTensor, Dressing, NamedMatrix } from '../core/dressing.js';
import { DTYPE_BITS, type Dtype } from '../core/dtype.js';
import { InvalidInputError, UsageError } from '../core/errors.js';
import type { JsonObject } from '../core/json.js';
import type { QuantizeOptions } from '../core/options.js';
import { own } from '../core/own.js';
import type { Job, PlannedTensor, QuantizePlan } from '../core/plan.js';
import type { QuantizationArgs } from '../core/scheme.js';
import { schemeText } from '../core/scheme-text.js';
import type { LogicalTensor } from '../core/weights.js';
import { storedBytes } from '../engine/units.js';
import { accompanyingFiles } from '../formats/checkpoint.js';
import { formatJson } from '../formats/python-json.js';
import { layoutShards } from '../formats/safetensors-shards.js';
import { readText } from '../formats/text.js';
import { activationsLost, layoutOf, logicalTensors } from '../model/logical-tensors.js';
import { find } from '../registry.js';
import { askedModules, type EngineModule, settingsKey, type Wanted } from './asked-modules.js';
import { planContainer } from './container-plan.js';
import { refuseIdleGlobs } from './idle-flags.js';
import { gridToKeep } from './kept-grids.js';
import { type ModelTensor, modelTensors } from './model-tensors.js';

/** A logical tensor with what becomes of it and the tensors that take its place. */
interface Dressed extends PlannedTensor {
  tensor: LogicalTensor;
  matrix: NamedMatrix;
  stored: DressedTensor[];
  sizes: Record<string, number>;
}

/** What a quantization will do, before a first pass has found the scales that tensors share. */
export interface QuantizeDraft {
  plan: QuantizePlan;
  /** Stored tensors that are no weights and are left behind, as tables of integers. */
  leftBehind: string[];
  /** What the written model lacks. */
  notes?: string[];
}

const FLOAT_SCHEMES: Partial<Record<Dtype, string>> = { F32: 'f32', F16: 'f16', BF16: 'bf16', F64: 'f32' };
const STORED: Record<string, Dtype> = own({ f32: 'F32', f16: 'F16', bf16: 'BF16' });

/**
 * Decides everything from headers: which tensors are quantized, which keep their codes, and where each byte of the
 * written checkpoint goes. Throws UsageError and InvalidInputError.
 */
export async function planQuantize(
  checkpoint: Checkpoint,
  dressing: Dressing,
  options: QuantizeOptions,
  /** Whether the grid of the input may replace the default grid where codes can be kept. */
  mayKeepGrid: boolean,
  /** Hears what the values of the input show and its config.json does not say. */
  note: (text: string) => void = () => {},
): Promise<QuantizeDraft> {
  const logical = await logicalTensors(checkpoint, note);
  const tensors = await modelTensors(checkpoint, logical, options.unknownArchitecture ?? false, note);
  if (dressing.container) {
    const contained = await planContainer(checkpoint, logical, dressing.container, options);
    return { ...contained, leftBehind: leftBehind(checkpoint, logical) };
  }
  refuseIdleGlobs(options, [...logical.keys()]);
  const { layout } = await layoutOf(checkpoint);
  const lost = (layout.activations?.(checkpoint.config) ?? []).filter(
    (each) => each !== dressing.activations?.(options.args),
  );
  if (lost.length > 0) note(activationsLost(lost, `layout ${options.layout} as it is asked for`));
  const dressed = await dressedTensors(tensors, checkpoint, dressing, options, mayKeepGrid);
  if (!dressed.some(({ fate }) => fate !== 'unquantized')) {
    throw new UsageError(
      'no tensor of this checkpoint would be quantized.',
      'check --only and --skip; "halfbyte inspect" lists the names.',
    );
  }
  return { plan: writtenPlan(checkpoint, dressing, options, dressed), leftBehind: leftBehind(checkpoint, logical) };
}

/** What becomes of each tensor, in their order. */
async function dressedTensors(
  tensors: ModelTensor[],
  { config }: Checkpoint,
  dressing: Dressing,
  options: QuantizeOptions,
  mayKeepGrid: boolean,
): Promise<Dressed[]> {
  const dressed = new Map<string, Dressed>();
  for (const module of askedModules(tensors, options, dressing)) {
    const done = await quantizedAlike(module, dressing, mayKeepGrid);
    for (const [index, { tensor, matrix }] of module.members.entries()) {
      dressed.set(tensor.name, done?.[index] ?? (await unquantized(tensor, matrix, dressing, config)));
    }
  }
  return tensors.map(({ tensor }) => dressed.get(tensor.name) as Dressed);
}

/**
 * The matrices of a module with the same settings: those of their codes where all keep them, else what is wanted.
 * Undefined where engines expect none or one of them has no form.
 */
async function quantizedAlike(
  { members }: EngineModule,
  dressing: Dressing,
  mayKeepGrid: boolean,
): Promise<Dressed[] | undefined> {
  const dress = (mayBe: GridFilter, args?: QuantizationArgs): Promise<(Dressed | undefined)[]> =>
    Promise.all(
      members.map(async ({ tensor, matrix, wanted }) => {
        const own = wanted && (args ? { ...wanted, args } : wanted);
        return own && quantized(tensor, matrix, own, dressing, mayKeepGrid, mayBe);
      }),
    );
  const isAlike = (done: (Dressed | undefined)[]): done is Dressed[] =>
    done.every((each) => each && done[0] && settingsKey(each.scheme) === settingsKey(done[0].scheme));
  const first = await dress(KEPT);
  // zero points may be written for a symmetric grid too; where grids differ, one that is kept is taken for all
  const kept = first.flatMap((each) => (each?.fate === 'keeps' ? [each.scheme] : []));
  const others =
    kept.length > 0 ? [() => dress(KEPT_ASYMMETRIC), ...kept.map((args) => () => dress(WANTED, args))] : [];
  for (const attempt of [() => first, ...others, () => dress(WANTED)]) {
    const done = await attempt();
    if (isAlike(done)) return done;
  }
  return undefined;
}

/** Which grids of its input a tensor may keep. */
type GridFilter = (args: QuantizationArgs, isAdopted: boolean) => boolean;
const KEPT: GridFilter = () => true;
const KEPT_ASYMMETRIC: GridFilter = ({ symmetric }) => !symmetric;
const WANTED: GridFilter = (_args, isAdopted) => !isAdopted;

/** A tensor on the grid that it has or the one that it gets; undefined where engines expect neither. */
async function quantized(
  tensor: LogicalTensor,
  matrix: NamedMatrix,
  { args: wanted, isByName }: Wanted,
  dressing: Dressing,
  mayKeepGrid: boolean,
  mayBe: GridFilter,
): Promise<Dressed | undefined> {
  const kept = await gridToKeep(tensor.source, wanted, mayKeepGrid, (args) => {
    if (!mayBe(args, settingsKey(args) !== settingsKey(wanted))) throw new UsageError('another grid is looked for');
    dressing.check(args, '--layout');
    if (dressing.keeps?.(args) === false) throw new UsageError('the layout rounds such values');
  });
  const args = kept ?? wanted;
  if (!isByName && !dressing.quantizes(matrix, args)) return undefined;
  // what is asked for by name may be of any kind, but its sizes must fit
  if (isByName && !dressing.quantizes({ ...matrix, name: 'linear.weight', kind: 'linear' }, args)) {
    throw new UsageError(
      `--override: "${tensor.name}" [${matrix.rows}, ${matrix.cols}] cannot be stored as ${schemeText(args)} in this layout: its sizes do not divide.`,
      'another --group-size, or another scheme for this tensor.',
    );
  }
  const parts = dressing.parts(matrix.rows, matrix.cols, args);
  const sizes = Object.fromEntries(Object.entries(parts).map(([part, { nbytes }]) => [part, nbytes]));
  const stored = dressing.tensors(matrix, args);
  const fate = kept ? 'keeps' : 'rounds';
  return { ...described(tensor, args, fate, stored), kind: matrix.kind, tensor, matrix, stored, sizes };
}

/** A tensor that no scheme rounds: in the type in which it is stored, or the one that the layout's engines expect. */
async function unquantized(
  tensor: LogicalTensor,
  matrix: NamedMatrix,
  dressing: Dressing,
  config: JsonObject,
): Promise<Dressed> {
  const { source, name } = tensor;
  const from: Dtype = source.kind === 'tensor' ? source.ref.dtype : modelDtype(config);
  // Biases that choose experts lose ties below float32 (vLLM, transformers), and float32 vectors are so for a reason.
  const id = (from !== 'F32' && dressing.floats && STORED[FLOAT_SCHEMES[dressing.floats] ?? '']) || from;
  const scheme = await find('schemes', FLOAT_SCHEMES[id] ?? '');
  if (!scheme) {
    throw new InvalidInputError(
      `tensor "${name}" is stored as ${from}; a checkpoint is written with F32, F16 and BF16 besides its quantized tensors.`,
      `--override '${name}=<scheme>' for this tensor.`,
    );
  }
  const args = scheme.defaults;
  const nbytes = scheme.layout(matrix.rows, matrix.cols, args).codes.nbytes;
  const stored: DressedTensor[] = [
    { name, dtype: STORED[args.scheme], shape: tensor.shape, content: { part: 'codes' } },
  ];
  const { kind } = matrix;
  return { ...described(tensor, args, 'unquantized', stored), kind, tensor, matrix, stored, sizes: { codes: nbytes } };
}

function described(
  { name, shape }: LogicalTensor,
  scheme: QuantizationArgs,
  fate: PlannedTensor['fate'],
  stored: DressedTensor[],
): PlannedTensor {
  return { name, shape, scheme, fate, nbytes: stored.reduce((sum, each) => sum + bytesOf(each), 0) };
}

const bytesOf = ({ dtype, shape }: DressedTensor) =>
  (shape.reduce((product, each) => product * each, 1) * DTYPE_BITS[dtype]) / 8;

/** The dtype that a model computes in, as config.json says: for tensors that come out of another layout. */
function modelDtype(config: JsonObject): Dtype {
  const named = config.dtype ?? config.torch_dtype;
  return named === 'float16' ? 'F16' : named === 'float32' ? 'F32' : 'BF16';
}

function writtenPlan(
  checkpoint: Checkpoint,
  dressing: Dressing,
  options: QuantizeOptions,
  dressed: Dressed[],
): QuantizePlan {
  const entries = dressed.flatMap(({ stored, tensor }) => stored.map((each) => ({ ...each, together: tensor.name })));
  const shards = layoutShards(entries, options.maxShardBytes ?? Number.POSITIVE_INFINITY, dressing.metadata);
  const placeOf = (name: string) => {
    const place = shards.places.get(name);
    if (!place) throw new Error(`tensor ${name} has no place`);
    return place;
  };
  const jobs: Job[] = [];
  const inlays = [...shards.headers];
  for (const { tensor, scheme, fate, stored, sizes } of dressed) {
    const outputs: Job['outputs'] = {};
    for (const { name, content } of stored) {
      const place = placeOf(name);
      if ('part' in content) {
        if (place.nbytes !== sizes[content.part]) {
          throw new Error(`tensor ${name} has ${place.nbytes} bytes, its part ${content.part} ${sizes[content.part]}`);
        }
        outputs[content.part] = place;
      } else {
        inlays.push({ file: place.file, offset: place.offset, base64: Buffer.from(content.bytes).toString('base64') });
      }
    }
    jobs.push({
      name: tensor.name,
      source: tensor.source,
      scheme,
      ...(fate === 'unquantized' ? {} : { layout: options.layout }),
      ...(fate === 'keeps' ? { keepCodes: true } : {}),
      outputs,
    });
  }

  const about = dressedCheckpoint(checkpoint, options, dressed);
  const config: JsonObject = { ...about.config, ...dressing.config(about) };
  for (const key of Object.keys(config)) if (config[key] === null && !(key in about.config)) delete config[key];
  const written = isContainer(checkpoint) ? '' : readText(join(checkpoint.dir, 'config.json'));
  const parameters = dressed.reduce((sum, { matrix }) => sum + matrix.rows * matrix.cols, 0);
  const weightBytes = dressed.reduce((sum, { nbytes }) => sum + nbytes, 0);
  return {
    options,
    checkpoint: { dir: checkpoint.dir, files: checkpoint.files, config: checkpoint.config },
    files: shards.files,
    jobs,
    inlays,
    texts: [
      { name: 'config.json', content: formatJson(config, written) },
      ...(shards.index ? [shards.index] : []),
      ...Object.entries(dressing.files?.(about) ?? {}).map(([name, content]) => ({ name, content })),
    ],
    // beside a file there may be anything
    copies: isContainer(checkpoint) ? checkpoint.companions : accompanyingFiles(checkpoint.dir),
    totals: {
      parameters,
      weightBytes,
      sourceBytes: dressed.reduce((sum, { tensor }) => sum + storedBytes(tensor.source), 0),
      bitsPerWeight: parameters ? (8 * weightBytes) / parameters : 0,
    },
    tensors: dressed.map(({ name, shape, scheme, fate, nbytes, kind }) => ({
      name,
      shape,
      scheme,
      fate,
      nbytes,
      kind,
    })),
  };
}

const isContainer = ({ files }: Checkpoint) => files.every(({ name }) => name.endsWith('.gguf'));

function dressedCheckpoint(checkpoint: Checkpoint, options: QuantizeOptions, dressed: Dressed[]): DressedCheckpoint {
  // mlx writes its settings under a second key
  const { quantization_config: _, quantization: __, ...config } = checkpoint.config;
  const done = dressed.filter(({ fate }) => fate !== 'unquantized');
  const counts = new Map<string, number>();
  for (const { scheme } of done) counts.set(settingsKey(scheme), (counts.get(settingsKey(scheme)) ?? 0) + 1);
  const [commonest] = [...counts].sort((a, b) => b[1] - a[1])[0];
  const args = done.find(({ scheme }) => settingsKey(scheme) === commonest)?.scheme ?? options.args;
  return {
    config,
    args,
    exceptions: done
      .filter(({ scheme }) => settingsKey(scheme) !== commonest)
      .map(({ matrix, scheme }) => ({ matrix, args: scheme })),
    quantized: done.map(({ matrix }) => matrix),
    alone: dressed
      .filter(({ fate, matrix }) => fate === 'unquantized' && matrix.kind !== undefined)
      .map(({ matrix }) => matrix),
  };
}

function leftBehind(checkpoint: Checkpoint, logical: Map<string, LogicalTensor>): string[] {
  const used = new Set<string>();
  for (const { source } of logical.values()) {
    if (source.kind === 'tensor') used.add(source.ref.name);
    if (source.kind === 'packed') for (const part of Object.values(source.parts)) used.add(part.name);
  }
  return [...checkpoint.tensors.keys()].filter((name) => !used.has(name) && !isCacheScale(name));
}
