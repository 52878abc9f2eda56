import { join } from 'node:path';
import type { TensorRef } from '../core/checkpoint.js';
import { codesBesideScales } from '../core/codes.js';
import type { JsonObject } from '../core/json.js';
import { readJsonObject } from './text.js';

/** Settings of a quantization that stand in a file beside config.json, in the words of quantization_config. */
const FILES: Record<string, (content: JsonObject) => JsonObject> = {
  // AutoGPTQ and GPTQModel
  'quantize_config.json': (content) => ({ quant_method: 'gptq', ...content }),
  // AutoAWQ
  'quant_config.json': ({ w_bit: bits, q_group_size: groupSize, ...content }) => ({
    quant_method: 'awq',
    ...(bits === undefined ? {} : { bits }),
    ...(groupSize === undefined ? {} : { group_size: groupSize }),
    ...content,
  }),
  // modelopt
  'hf_quant_config.json': (content) => ({ quant_method: 'modelopt', ...(content.quantization as JsonObject) }),
  // auto-round
  'quantization_config.json': (content) => content,
};

/** Names of such files: another layout's output does not take them over. */
export const SETTINGS_FILES = Object.keys(FILES);

/**
 * config.json of a checkpoint of codes with the settings that stand elsewhere than in its quantization_config, and
 * the file or key that has them; as it is where it has its own or where no tensor is one of codes.
 */
export function withQuantizationSettings(
  dir: string,
  config: JsonObject,
  tensors: ReadonlyMap<string, TensorRef>,
): { config: JsonObject; settingsIn?: string } {
  if ((config.quantization_config ?? config.quantization ?? null) !== null) return { config };
  const { compression_config: compressed, ...others } = config;
  if (typeof compressed === 'object' && compressed !== null && !Array.isArray(compressed)) {
    const settings = { quant_method: 'compressed-tensors', ...compressed };
    return { config: { ...others, quantization_config: settings }, settingsIn: 'compression_config of config.json' };
  }
  if (!codesBesideScales(tensors)) return { config };
  for (const [name, settingsOf] of Object.entries(FILES)) {
    const content = readJsonObject(join(dir, name));
    if (content) return { config: { ...config, quantization_config: settingsOf(content) }, settingsIn: name };
  }
  return { config };
}
