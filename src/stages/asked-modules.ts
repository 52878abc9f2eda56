import type { Dressing, NamedMatrix } from '../core/dressing.js';
import { UsageError } from '../core/errors.js';
import { matchesGlob } from '../core/glob.js';
import { layerOf } from '../core/matrix-kinds.js';
import type { QuantizeOptions } from '../core/options.js';
import type { QuantizationArgs } from '../core/scheme.js';
import { schemeText } from '../core/scheme-text.js';
import type { LogicalTensor } from '../core/weights.js';
import type { ModelTensor } from './model-tensors.js';

/** A tensor and what is asked of it. */
export interface Asked {
  tensor: LogicalTensor;
  matrix: NamedMatrix;
  wanted: Wanted | undefined;
}

/** Matrices that engines run as one, or a tensor by itself. */
export interface EngineModule {
  /** Undefined for a tensor by itself. */
  name: string | undefined;
  members: Asked[];
}

/**
 * What is asked of the tensors of a model, in the modules that engines make of them. Throws UsageError where parts of a
 * module are asked to have different schemes.
 */
export function askedModules(
  tensors: readonly ModelTensor[],
  options: QuantizeOptions,
  dressing: Dressing,
): EngineModule[] {
  const layers = layerCount(tensors);
  return engineModules(
    tensors.map(({ tensor, kind }) => {
      const matrix = { name: tensor.name, rows: tensor.source.rows, cols: tensor.source.cols, kind };
      return { tensor, matrix, wanted: wantedArgs(tensor, options, layers, dressing) };
    }),
    dressing,
  );
}

function engineModules(asked: readonly Asked[], dressing: Dressing): EngineModule[] {
  const modules: EngineModule[] = [];
  const named = new Map<string, EngineModule>();
  for (const each of asked) {
    const name = each.matrix.kind === 'linear' ? dressing.fused?.(each.matrix.name) : undefined;
    const known = name === undefined ? undefined : named.get(name);
    if (known) {
      known.members.push(each);
      continue;
    }
    const module = { name, members: [each] };
    modules.push(module);
    if (name !== undefined) named.set(name, module);
  }
  for (const { name, members } of named.values()) {
    const text = ({ wanted }: Asked) => (wanted ? schemeText(wanted.args) : 'no scheme');
    const key = ({ wanted }: Asked) => wanted && settingsKey(wanted.args);
    const other = members.find((each) => key(each) !== key(members[0]));
    if (!other) continue;
    throw new UsageError(
      `--override, --only, --skip: "${members[0].matrix.name}" gets ${text(members[0])}, "${other.matrix.name}" ${text(other)}; ` +
        `engines of this layout run them as one layer, "${name}", with one scheme.`,
      `say the same of all ${members.length} matrices of "${name}".`,
    );
  }
  return modules;
}

/** Settings asked for a tensor: by name, or as for all that the layout's engines expect quantized. */
export interface Wanted {
  args: QuantizationArgs;
  isByName: boolean;
}

/** The settings that a tensor gets, undefined where it is left alone. */
function wantedArgs(
  { name, shape }: LogicalTensor,
  options: QuantizeOptions,
  layers: number,
  dressing: Dressing,
): Wanted | undefined {
  if (shape.length !== 2) return undefined;
  const override = options.overrides.findLast(({ pattern }) => matchesGlob(name, pattern));
  if (override) return { args: override.scheme, isByName: true };
  if (options.skip.some((glob) => matchesGlob(name, glob))) return undefined;
  if (options.only.length > 0 && !options.only.some((glob) => matchesGlob(name, glob))) return undefined;
  const args = options.mixed && isSensitive(name, layers, dressing) ? options.mixed : options.args;
  return { args, isByName: false };
}

/**
 * The first and the last eighth of the layers and two matrices of each, as llama.cpp's mixes have it. Where engines fuse
 * v_proj, q_proj and k_proj go with it; experts, most of a model's bytes, are sensitive at the ends alone.
 */
function isSensitive(name: string, layers: number, dressing: Dressing): boolean {
  const layer = layerOf(name);
  if (layer !== undefined && (layer < layers / 8 || layer >= (7 * layers) / 8)) return true;
  const module = dressing.fused?.(name);
  if (module !== undefined) return module.endsWith('.qkv_proj');
  return /\.(v_proj|down_proj)\.weight$/.test(name);
}

const layerCount = (tensors: readonly ModelTensor[]) =>
  tensors.reduce((most, { tensor }) => Math.max(most, (layerOf(tensor.name) ?? -1) + 1), 0);

/** Settings that tensors of one scheme share. */
export const settingsKey = ({ algorithm: _, amax: __, ...args }: QuantizationArgs) => JSON.stringify(sorted(args));
const sorted = (args: object) => Object.entries(args).sort(([a], [b]) => (a < b ? -1 : 1));
