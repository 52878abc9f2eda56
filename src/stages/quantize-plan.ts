import { join } from 'node:path';
import type { Checkpoint } from '../core/checkpoint.js';
import type { DressedCheckpoint, DressedTensor, Dressing, NamedMatrix } from '../core/dressing.js';
import { DTYPE_BITS, type Dtype } from '../core/dtype.js';
import { InvalidInputError, UsageError } from '../core/errors.js';
import { matchesGlob } from '../core/glob.js';
import type { JsonObject } from '../core/json.js';
import { layerOf, matrixKind } from '../core/matrix-kinds.js';
import type { QuantizeOptions } from '../core/options.js';
import type { Job, PlannedTensor, QuantizePlan } from '../core/plan.js';
import type { QuantizationArgs } from '../core/scheme.js';
import { schemeText } from '../core/scheme-text.js';
import type { LogicalTensor } from '../core/weights.js';
import { storedBytes } from '../engine/units.js';
import { accompanyingFiles } from '../formats/checkpoint.js';
import { formatJson } from '../formats/python-json.js';
import { layoutShards } from '../formats/safetensors-shards.js';
import { readText } from '../formats/text.js';
import { logicalTensors } from '../model/logical-tensors.js';
import { find } from '../registry.js';
import { planContainer } from './container-plan.js';
import { gridToKeep } from './kept-grids.js';

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
const STORED: Record<string, Dtype> = { f32: 'F32', f16: 'F16', bf16: 'BF16' };

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
  note?: (text: string) => void,
): Promise<QuantizeDraft> {
  const logical = await logicalTensors(checkpoint, note);
  if (dressing.container) {
    const contained = await planContainer(checkpoint, logical, dressing.container, options);
    return { ...contained, leftBehind: leftBehind(checkpoint, logical) };
  }
  const layers = layerCount(logical);
  const dressed: Dressed[] = [];
  for (const tensor of logical.values()) {
    const matrix = { name: tensor.name, rows: tensor.source.rows, cols: tensor.source.cols };
    const wanted = wantedArgs(tensor, options, layers);
    dressed.push(
      (wanted && (await quantized(tensor, matrix, wanted, dressing, mayKeepGrid))) ??
        (await unquantized(tensor, matrix, dressing, checkpoint.config)),
    );
  }
  if (!dressed.some(({ fate }) => fate !== 'unquantized')) {
    throw new UsageError(
      'no tensor of this checkpoint would be quantized.',
      'check --only and --skip; "halfbyte inspect" lists the names.',
    );
  }
  return { plan: writtenPlan(checkpoint, dressing, options, dressed), leftBehind: leftBehind(checkpoint, logical) };
}

/** Settings asked for a tensor: by name, or as for all that the layout's engines expect quantized. */
interface Wanted {
  args: QuantizationArgs;
  isByName: boolean;
}

/** The settings that a tensor gets, undefined where it is left alone. */
function wantedArgs({ name, shape }: LogicalTensor, options: QuantizeOptions, layers: number): Wanted | undefined {
  if (shape.length !== 2) return undefined;
  const override = options.overrides.findLast(({ pattern }) => matchesGlob(name, pattern));
  if (override) return { args: override.scheme, isByName: true };
  if (options.skip.some((glob) => matchesGlob(name, glob))) return undefined;
  if (options.only.length > 0 && !options.only.some((glob) => matchesGlob(name, glob))) return undefined;
  const args = options.mixed && isSensitive(name, layers) ? options.mixed : options.args;
  return { args, isByName: false };
}

/** The first and the last eighth of the layers and two matrices of each, as llama.cpp's mixes have it. */
function isSensitive(name: string, layers: number): boolean {
  const layer = layerOf(name);
  const atEnds = layer !== undefined && (layer < layers / 8 || layer >= (7 * layers) / 8);
  return atEnds || /\.(v_proj|down_proj)\.weight$/.test(name);
}

const layerCount = (logical: Map<string, LogicalTensor>) =>
  [...logical.keys()].reduce((most, name) => Math.max(most, (layerOf(name) ?? -1) + 1), 0);

/** A tensor on the grid that it has or the one that it gets; undefined where engines expect neither. */
async function quantized(
  tensor: LogicalTensor,
  matrix: NamedMatrix,
  { args: wanted, isByName }: Wanted,
  dressing: Dressing,
  mayKeepGrid: boolean,
): Promise<Dressed | undefined> {
  const kept = await gridToKeep(tensor.source, wanted, mayKeepGrid, (args) => {
    dressing.check(args, '--layout');
    if (dressing.keeps?.(args) === false) throw new UsageError('the layout rounds such values');
  });
  const args = kept ?? wanted;
  if (!isByName && !dressing.quantizes(matrix, args)) return undefined;
  // what is asked for by name may be of any kind, but its sizes must fit
  if (isByName && !dressing.quantizes({ ...matrix, name: 'linear.weight' }, args)) {
    throw new UsageError(
      `--override: "${tensor.name}" [${matrix.rows}, ${matrix.cols}] cannot be stored as ${schemeText(args)} in this layout: its sizes do not divide.`,
      'another --group-size, or another scheme for this tensor.',
    );
  }
  const parts = dressing.parts(matrix.rows, matrix.cols, args);
  const sizes = Object.fromEntries(Object.entries(parts).map(([part, { nbytes }]) => [part, nbytes]));
  const stored = dressing.tensors(matrix, args);
  const fate = kept ? 'keeps' : 'rounds';
  return { ...described(tensor, args, fate, stored), tensor, matrix, stored, sizes };
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
  return { ...described(tensor, args, 'unquantized', stored), tensor, matrix, stored, sizes: { codes: nbytes } };
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
    tensors: dressed.map(({ name, shape, scheme, fate, nbytes }) => ({ name, shape, scheme, fate, nbytes })),
  };
}

const isContainer = ({ files }: Checkpoint) => files.every(({ name }) => name.endsWith('.gguf'));

function dressedCheckpoint(checkpoint: Checkpoint, options: QuantizeOptions, dressed: Dressed[]): DressedCheckpoint {
  // mlx writes its settings under a second key
  const { quantization_config: _, quantization: __, ...config } = checkpoint.config;
  const done = dressed.filter(({ fate }) => fate !== 'unquantized');
  const key = ({ algorithm: ___, amax: ____, ...args }: QuantizationArgs) => JSON.stringify(args);
  const counts = new Map<string, number>();
  for (const { scheme } of done) counts.set(key(scheme), (counts.get(key(scheme)) ?? 0) + 1);
  const [commonest] = [...counts].sort((a, b) => b[1] - a[1])[0];
  const args = done.find(({ scheme }) => key(scheme) === commonest)?.scheme ?? options.args;
  return {
    config,
    args,
    exceptions: done
      .filter(({ scheme }) => key(scheme) !== commonest)
      .map(({ matrix, scheme }) => ({ matrix, args: scheme })),
    quantized: done.map(({ matrix }) => matrix),
    alone: dressed
      .filter(({ fate, tensor }) => fate === 'unquantized' && tensor.shape.length === 2 && matrixKind(tensor.name))
      .map(({ matrix }) => matrix),
  };
}

function leftBehind(checkpoint: Checkpoint, logical: Map<string, LogicalTensor>): string[] {
  const used = new Set<string>();
  for (const { source } of logical.values()) {
    if (source.kind === 'tensor') used.add(source.ref.name);
    if (source.kind === 'packed') for (const part of Object.values(source.parts)) used.add(part.name);
  }
  return [...checkpoint.tensors.keys()].filter((name) => !used.has(name));
}
