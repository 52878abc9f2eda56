import { HalfbyteError, UsageError } from '../core/errors.js';
import { matchesGlob } from '../core/glob.js';
import type { ConvertOptions } from '../core/options.js';
import type { QuantizationArgs } from '../core/scheme.js';
import type { LogicalTensor, RowSource } from '../core/weights.js';
import { find } from '../registry.js';

/**
 * The settings with which a packed tensor keeps its codes and scales, where it stands on a grid that `wanted` asks
 * for; undefined where it must be rounded again. `mayAdopt` lets the tensor's own groups, zero points and type of
 * scales take the place of those of `wanted`. `check` throws where the output has no form for settings.
 */
export async function gridToKeep(
  source: RowSource,
  wanted: QuantizationArgs,
  mayAdopt: boolean,
  check: (args: QuantizationArgs) => void,
): Promise<QuantizationArgs | undefined> {
  if (source.kind !== 'packed') return undefined;
  const layout = await find('layouts', source.layout);
  const grid = layout?.unpack ? layout.grid?.(source) : undefined;
  if (!grid || grid.scheme !== wanted.scheme) return undefined;
  const { algorithm } = wanted;
  const own: QuantizationArgs = { ...grid, algorithm, ...(wanted.signed ? { signed: true } : {}) };
  // Every stored scale is a float32 too, and a symmetric grid an asymmetric one whose zero points are all the middle.
  const wide: QuantizationArgs = { ...own, scale_dtype: 'F32' };
  const candidates = mayAdopt ? [own, wide, { ...own, symmetric: false }, { ...wide, symmetric: false }] : [wanted];
  return candidates.find((args) => holds(args, grid) && passes(args, check));
}

/**
 * Overrides by which a conversion keeps the integer grids of a quantized checkpoint. Only where nothing was said about
 * the scheme of weights: what is asked for is done. `check` throws where the target has no form for settings.
 */
export async function gridOverrides(
  logical: ReadonlyMap<string, LogicalTensor>,
  options: ConvertOptions,
  check: (args: QuantizationArgs) => void,
): Promise<ConvertOptions['overrides']> {
  const overrides: ConvertOptions['overrides'] = [];
  for (const { name, source } of logical.values()) {
    if (source.kind !== 'packed' || options.skip.some((glob) => matchesGlob(name, glob))) continue;
    if (options.only.length > 0 && !options.only.some((glob) => matchesGlob(name, glob))) continue;
    const grid = (await find('layouts', source.layout))?.grid?.(source);
    if (grid?.scheme !== 'int4' && grid?.scheme !== 'int8') continue;
    const wanted: QuantizationArgs = { ...options.weights, scheme: grid.scheme };
    // The operators of a package take scales of F32 and F16; BF16 ones are F32 too, bit for bit.
    const scheme = await gridToKeep(source, wanted, true, (args) => {
      if (args.scale_dtype === 'BF16') throw new UsageError('a package stores its scales as F32 or F16.');
      check(args);
    });
    if (scheme) overrides.push({ pattern: name, scheme });
  }
  return overrides;
}

function holds(args: QuantizationArgs, grid: QuantizationArgs): boolean {
  const shape = ({ scheme, strategy, group_size, block_structure }: QuantizationArgs) =>
    JSON.stringify([scheme, strategy, group_size ?? null, block_structure ?? null]);
  const scales = args.scale_dtype === grid.scale_dtype || args.scale_dtype === 'F32';
  return shape(args) === shape(grid) && scales && (args.symmetric === grid.symmetric || !args.symmetric);
}

function passes(args: QuantizationArgs, check: (args: QuantizationArgs) => void): boolean {
  try {
    check(args);
    return true;
  } catch (error) {
    if (error instanceof HalfbyteError) return false;
    throw error;
  }
}
