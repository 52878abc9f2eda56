import { isObject, type Json, type JsonObject } from '../../core/json.js';
import { checkSettings, type SettingKeys } from '../packing/setting-keys.js';
import { quantizationConfig, refuseSetting } from '../packing/stored-tensors.js';
import type { ConfiguredSizes } from './form.js';

const LAYOUT = 'compressed_tensors';

const FORMATS = [
  'dense',
  'pack-quantized',
  'int-quantized',
  'float-quantized',
  'naive-quantized',
  'nvfp4-pack-quantized',
  'mxfp4-pack-quantized',
  'mxfp8-quantized',
  'mixed-precision',
];

/** QuantizationConfig of compressed-tensors (quant_config.py) and what transformers and llm-compressor add. */
const KEYS: SettingKeys = {
  read: ['quant_method', 'config_groups', 'format', 'kv_cache_scheme', 'sparsity_config', 'transform_config'],
  inert: [
    'dequantize',
    'global_compression_ratio',
    'ignore',
    'quantization_status',
    'run_compressed',
    'use_optimized_inference',
    'version',
  ],
  refused: {},
};

const GROUP_KEYS: SettingKeys = {
  read: ['format', 'input_activations', 'output_activations', 'targets', 'weights'],
  inert: [],
  refused: {},
};

/** QuantizationArgs (quant_args.py). */
const ARGS_KEYS: SettingKeys = {
  read: ['block_structure', 'group_size', 'symmetric'],
  inert: ['actorder', 'num_bits', 'observer', 'observer_kwargs', 'scale_dtype', 'strategy', 'type', 'zp_dtype'],
  refused: { dynamic: [false] },
};
const ACTIVATION_KEYS: SettingKeys = {
  read: [...ARGS_KEYS.read, 'dynamic'],
  inert: ARGS_KEYS.inert,
  refused: {},
};

const isSize = (each: Json | undefined): each is number => Number.isSafeInteger(each) && (each as number) > 0;

function groupsOf(settings: JsonObject): [string, JsonObject][] {
  const { config_groups: groups = {} } = settings;
  if (!isObject(groups)) refuseSetting(LAYOUT, 'config_groups', groups, 'an object');
  return Object.entries(groups).map(([name, group]) => {
    // a preset by its name, as W4A16, has targets alone
    if (!isObject(group)) return [name, {}];
    return [name, group];
  });
}

/** What tensors leave open, from config_groups. Throws InvalidInputError for settings that mean other tensors or another model. */
export function configuredSizes(config: JsonObject): ConfiguredSizes {
  const settings = quantizationConfig(config);
  checkSettings(LAYOUT, settings, KEYS);
  refuseFormat(settings.format, 'format');
  const { sparsity_config: sparsity, transform_config: transforms } = settings;
  if (isObject(sparsity) && sparsity.format !== undefined && sparsity.format !== 'dense') {
    refuseSetting(LAYOUT, 'sparsity_config.format', sparsity.format, '"dense"');
  }
  refuseOnlineTransforms(transforms);
  const sizes: ConfiguredSizes = { groups: [], blocks: [], isAsymmetric: false };
  const symmetries: boolean[] = [];
  for (const [name, group] of groupsOf(settings)) {
    const path = `config_groups.${name}.`;
    checkSettings(LAYOUT, group, GROUP_KEYS, path);
    refuseFormat(group.format, `${path}format`);
    for (const key of ['input_activations', 'output_activations']) {
      const activations = group[key];
      if (isObject(activations)) checkSettings(LAYOUT, activations, ACTIVATION_KEYS, `${path}${key}.`);
    }
    const { weights } = group;
    if (!isObject(weights)) continue;
    checkSettings(LAYOUT, weights, ARGS_KEYS, `${path}weights.`);
    symmetries.push(weights.symmetric !== false);
    if (isSize(weights.group_size)) sizes.groups.push(weights.group_size);
    const { block_structure: stored } = weights;
    const block = typeof stored === 'string' ? stored.split('x').map(Number) : stored;
    if (Array.isArray(block) && block.length === 2 && block.every(isSize)) sizes.blocks.push(block as [number, number]);
  }
  sizes.isAsymmetric = symmetries.length > 0 && symmetries.every((isSymmetric) => !isSymmetric);
  return sizes;
}

function refuseFormat(format: Json | undefined, key: string): void {
  if (format === undefined || format === null || FORMATS.includes(format as string)) return;
  refuseSetting(LAYOUT, key, format, `one of ${FORMATS.join(', ')}`);
}

/**
 * Rotations of weights alone are in the weights, which are those of an equal model. One of activations undoes what a
 * weight holds: without it the model is another.
 */
function refuseOnlineTransforms(transforms: Json | undefined): void {
  if (!isObject(transforms)) return;
  const { config_groups: schemes } = transforms;
  for (const [name, scheme] of Object.entries(isObject(schemes) ? schemes : {})) {
    const applied = isObject(scheme) && Array.isArray(scheme.apply) ? scheme.apply : [];
    for (const each of applied) {
      const location = isObject(each) ? each.location : undefined;
      if (location === 'weight_input' || location === 'weight_output') continue;
      refuseSetting(
        LAYOUT,
        `transform_config.config_groups.${name}`,
        scheme,
        `no transform of activations (location ${JSON.stringify(location ?? null)}): the stored weights are rotated and only right behind it`,
      );
    }
  }
}

/** How config.json has activations quantized, as `float8 dynamic`. */
export function activationsIn(config: JsonObject): string[] {
  const found = groupsOf(quantizationConfig(config)).flatMap(([, group]) =>
    [group.input_activations, group.output_activations].filter(isObject).map(describeActivations),
  );
  return [...new Set(found)];
}

export const describeActivations = ({ type = 'int', num_bits: bits = 8, dynamic }: JsonObject): string =>
  `${type}${bits} ${dynamic === true ? 'dynamic' : dynamic === 'local' ? 'with local scales' : 'static'}`;
