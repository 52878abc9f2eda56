import type { Json, JsonObject } from '../../core/json.js';
import { isObject } from '../packing/stored-tensors.js';

/** How mlx quantizes a matrix: `affine` has a scale and a bias for a group, the others are floats of 4 or 8 bits. */
export const MLX_MODES = ['affine', 'mxfp4', 'nvfp4', 'mxfp8'] as const;
export type MlxMode = (typeof MLX_MODES)[number];

/** Settings of a matrix in config.json. */
export interface MlxSettings {
  bits?: number;
  mode: Json;
}

/** The settings of a checkpoint: `quantization`, which mlx-lm repeats as `quantization_config`. */
export function mlxQuantization(config: JsonObject): JsonObject | undefined {
  const found = [config.quantization, config.quantization_config].find(
    (each) =>
      isObject(each) && each.quant_method === undefined && each.group_size !== undefined && each.bits !== undefined,
  );
  return found as JsonObject | undefined;
}

/** Settings of a module: its own under its path, else those of all. */
export function moduleSettings(quantization: JsonObject, module: string): MlxSettings {
  const own = isObject(quantization[module]) ? (quantization[module] as JsonObject) : {};
  const { bits, mode } = { ...quantization, ...own };
  return { bits: typeof bits === 'number' ? bits : undefined, mode: mode ?? 'affine' };
}
