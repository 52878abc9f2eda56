import { isObject, type Json, type JsonObject } from '../../core/json.js';
import { checkSettings, type SettingKeys } from '../packing/setting-keys.js';

/** How mlx quantizes a matrix: `affine` has a scale and a bias for a group, the others are floats of 4 or 8 bits. */
export const MLX_MODES = ['affine', 'mxfp4', 'nvfp4', 'mxfp8'] as const;
export type MlxMode = (typeof MLX_MODES)[number];

/** Settings of a matrix in config.json. */
export interface MlxSettings {
  bits?: number | undefined;
  group_size?: number | undefined;
  mode: Json;
}

const KEYS: SettingKeys = { read: ['group_size', 'bits', 'mode'], inert: [], refused: {} };

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
  const { bits, group_size: groupSize, mode } = { ...quantization, ...own };
  const size = (value: Json | undefined) => (typeof value === 'number' && value > 0 ? value : undefined);
  return { bits: size(bits), group_size: size(groupSize), mode: mode ?? 'affine' };
}

/** Settings of modules stand under their paths, `false` for one that is not quantized. Throws InvalidInputError for others. */
export function checkMlxSettings(quantization: JsonObject): void {
  for (const [key, value] of Object.entries(quantization)) {
    if (isObject(value)) checkSettings('mlx', value, KEYS, `${key}.`);
    else if (typeof value !== 'boolean') checkSettings('mlx', { [key]: value }, KEYS);
  }
}
