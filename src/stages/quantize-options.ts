import type { Dressing } from '../core/dressing.js';
import { UsageError } from '../core/errors.js';
import type { Layout } from '../core/layout.js';
import type { QuantizeOptions } from '../core/options.js';
import type { QuantizationAlgorithm, QuantizationArgs } from '../core/scheme.js';
import { parseSize } from '../engine/memory.js';
import { find, ids, spelledId, unknownId } from '../registry.js';
import { groupSize, splitOverride } from './convert-options.js';

/** What the command line says about a quantization; undefined takes the layout's default. */
export interface QuantizeRequest {
  layout: string;
  weights?: string | undefined;
  strategy?: QuantizationArgs['strategy'] | undefined;
  groupSize?: string | undefined;
  asymmetric?: boolean | undefined;
  scales?: 'f32' | 'f16' | 'bf16' | 'e8m0' | undefined;
  algorithm?: QuantizationAlgorithm | undefined;
  only?: string[] | undefined;
  skip?: string[] | undefined;
  override?: string[] | undefined;
  preset?: 'mixed' | undefined;
  /** Goes by the names of tensors where the family is not drawn. */
  unknownArchitecture?: boolean | undefined;
  /** As `5GB`. */
  maxShardSize?: string | undefined;
}

const SCALES = { f32: 'F32', f16: 'F16', bf16: 'BF16', e8m0: 'F8_E8M0' } as const;

/** The layouts that are written. */
export async function writtenLayouts(): Promise<string[]> {
  const all = ids('layouts');
  const layouts = await Promise.all(all.map((id) => find('layouts', id)));
  return all.filter((_, index) => layouts[index]?.dressing);
}

/** The layout that a request names. Throws UsageError. */
export async function dressingOf({ layout: spelled }: QuantizeRequest): Promise<Dressing> {
  const layout = spelledId(spelled);
  const found: Layout | undefined = await find('layouts', layout);
  if (found?.dressing) return found.dressing;
  const written = await writtenLayouts();
  const what = found ? 'is read but not written' : unknownId('layouts', layout);
  throw new UsageError(`--layout ${layout}: ${what}`, `--layout ${written.join(' | ')}.`);
}

/** Completes what the command line says with the defaults of layout and scheme. Throws UsageError. */
export async function quantizeOptions(request: QuantizeRequest, dressing: Dressing): Promise<QuantizeOptions> {
  const weights = spelledId(request.weights ?? dressing.defaults.scheme);
  const mixes = dressing.container?.mixes ?? {};
  const mix = Object.hasOwn(mixes, weights) ? weights : undefined;
  const args = await settings('--weights', mix ? mixes[mix] : weights, request, dressing);
  const overrides = (request.override ?? []).map(splitOverride).map(async ({ pattern, id }) => ({
    pattern,
    scheme: await settings('--override', spelledId(id), request, dressing),
  }));
  if (request.preset === 'mixed' && args.scheme !== 'int4') {
    throw new UsageError(
      `--preset mixed: it mixes int4 and int8; the weights are ${args.scheme}.`,
      '--weights int4, or no preset.',
    );
  }
  const maxShardSize = request.maxShardSize ?? (dressing.container ? undefined : '5GB');
  return {
    layout: spelledId(request.layout),
    args,
    only: request.only ?? [],
    skip: request.skip ?? [],
    overrides: await Promise.all(overrides),
    mixed: request.preset === 'mixed' ? await settings('--preset mixed', 'int8', request, dressing) : null,
    ...(mix ? { mix } : {}),
    ...(request.unknownArchitecture ? { unknownArchitecture: true } : {}),
    maxShardBytes: maxShardSize === undefined ? null : parseSize(maxShardSize, '--max-shard-size'),
  };
}

async function settings(
  flag: string,
  id: string,
  request: QuantizeRequest,
  dressing: Dressing,
): Promise<QuantizationArgs> {
  const scheme = await find('schemes', id);
  if (!scheme) {
    const mixes = Object.keys(dressing.container?.mixes ?? {});
    const also = mixes.length > 0 ? ` As mixes of them: ${mixes.join(', ')}.` : '';
    throw new UsageError(`${flag} ${id}: ${unknownId('schemes', id)}${also}`, `${flag} ${dressing.defaults.scheme}.`);
  }
  const { defaults } = dressing;
  const isOfSameType = (await find('schemes', defaults.scheme))?.type === scheme.type && scheme.type === 'int';
  // schemes of a container have their own settings, which nothing changes
  const isOfSameGrid = isOfSameType && !dressing.container;
  const preset: QuantizationArgs =
    id === defaults.scheme ? defaults : isOfSameGrid ? { ...defaults, scheme: id } : scheme.defaults;
  const args: QuantizationArgs = { ...preset };
  if (request.strategy) args.strategy = request.strategy;
  if (request.groupSize !== undefined) Object.assign(args, groupSize(request.groupSize));
  if (args.strategy === 'group') args.group_size ??= defaults.group_size ?? scheme.defaults.group_size ?? 128;
  else delete args.group_size;
  if (args.strategy === 'block') args.block_structure ??= [128, 128];
  else delete args.block_structure;
  if (request.asymmetric !== undefined) args.symmetric = !request.asymmetric;
  if (request.scales) args.scale_dtype = SCALES[request.scales];
  args.algorithm = request.algorithm ?? scheme.defaults.algorithm;
  scheme.check(args);
  dressing.check(args, flag);
  return args;
}
