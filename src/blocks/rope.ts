import { InvalidInputError } from '../core/errors.js';
import type { Json, JsonObject } from '../core/json.js';
import type { RotaryTable, WeightSource } from '../core/weights.js';
import { ConfigReader, refuseUnsupportedKeys } from './config.js';

const f32 = Math.fround;

/** Config keys that this block reads. */
export const ROPE_KEYS = ['rope_theta', 'rope_scaling', 'rope_parameters', 'original_max_position_embeddings'];

/** Rotary frequencies of a model, float32, and the factor on its cosines and sines. */
export interface Rope {
  inverse_frequencies: number[];
  attention_factor: number;
}

/** The settings of a rope in one form, whichever way the config writes them. */
export interface RopeParameters {
  rope_type: string;
  rope_theta: number;
  reader: ConfigReader;
  maxPositions: number;
  originalPositions: number;
}

/**
 * Reads the rope of a config: `rope_theta` and `rope_scaling` (transformers 4, `type` or `rope_type`) or
 * `rope_parameters` (transformers 5; with one object for each layer type, `layerType` says which). A part of each head
 * alone to be rotated (`partial_rotary_factor`, which transformers 5 keeps here) is refused unless the family says that
 * it settles that itself.
 */
export function ropeParameters(
  config: JsonObject,
  maxPositions: number,
  { layerType, settlesPart = false }: { layerType?: string; settlesPart?: boolean } = {},
): RopeParameters {
  const top = new ConfigReader(config);
  let parameters = top.object('rope_parameters') ?? top.object('rope_scaling') ?? {};
  const nested = layerType === undefined ? undefined : parameters[layerType];
  if (nested && typeof nested === 'object' && !Array.isArray(nested)) parameters = nested;
  const reader = new ConfigReader(parameters);
  if (!settlesPart)
    refuseUnsupportedKeys(parameters, { read: [], inert: [], unsupported: { partial_rotary_factor: [null, 1] } });
  // gpt-oss-like configs keep the original length beside the rope, transformers 5 inside it
  const originalPositions = reader.size(
    'original_max_position_embeddings',
    top.size('original_max_position_embeddings', maxPositions),
  );
  return {
    rope_type: reader.text('rope_type', reader.text('type', 'default')),
    rope_theta: reader.positive('rope_theta', top.positive('rope_theta', 10000)),
    reader,
    maxPositions,
    originalPositions,
  };
}

/** theta^(2i/dim) in float32, as torch computes it from an arange. */
function wavelengthBases(theta: number, dim: number): number[] {
  return Array.from({ length: dim / 2 }, (_, i) => f32(theta ** f32((2 * i) / dim)));
}

/** YaRN's magnitude of attention for a scale (transformers: get_mscale). */
export function yarnMagnitude(scale: number, mscale = 1): number {
  return scale <= 1 ? 1 : 0.1 * mscale * Math.log(scale) + 1;
}

function yarn(rope: RopeParameters, dim: number): Rope {
  const { reader, rope_theta: theta, originalPositions } = rope;
  const factor = reader.positive('factor', rope.maxPositions / originalPositions);
  const mscale = reader.number('mscale', 0);
  const mscaleAllDim = reader.number('mscale_all_dim', 0);
  const natural =
    mscale && mscaleAllDim
      ? yarnMagnitude(factor, mscale) / yarnMagnitude(factor, mscaleAllDim)
      : yarnMagnitude(factor);
  const correctionDim = (rotations: number) =>
    (dim * Math.log(originalPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const truncate = reader.flag('truncate', true);
  const fast = correctionDim(reader.number('beta_fast', 32));
  const slow = correctionDim(reader.number('beta_slow', 1));
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
  let high = Math.min(truncate ? Math.ceil(slow) : slow, dim - 1);
  if (low === high) high += 0.001;
  const inverse_frequencies = wavelengthBases(theta, dim).map((base, i) => {
    const ramp = f32(Math.min(Math.max((i - low) / (high - low), 0), 1));
    const keep = f32(1 - ramp);
    return f32(f32(f32(1 / f32(factor * base)) * f32(1 - keep)) + f32(f32(1 / base) * keep));
  });
  return { inverse_frequencies, attention_factor: reader.positive('attention_factor', natural) };
}

function llama3(rope: RopeParameters, dim: number): Rope {
  const { reader, originalPositions } = rope;
  const factor = reader.positive('factor');
  const lowFactor = reader.positive('low_freq_factor');
  const highFactor = reader.positive('high_freq_factor');
  const inverse_frequencies = wavelengthBases(rope.rope_theta, dim).map((base) => {
    const frequency = f32(1 / base);
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength < originalPositions / highFactor) return frequency;
    if (wavelength > originalPositions / lowFactor) return f32(frequency / factor);
    const smooth = f32((originalPositions / wavelength - lowFactor) / (highFactor - lowFactor));
    return f32(f32(f32(f32(1 - smooth) * frequency) / factor) + f32(smooth * frequency));
  });
  return { inverse_frequencies, attention_factor: 1 };
}

function longrope(rope: RopeParameters, dim: number, contextLength: number): Rope {
  const { reader, originalPositions } = rope;
  if (contextLength > originalPositions) {
    throw new InvalidInputError(
      `config.json: rope_type "longrope" changes its frequencies with the length at hand beyond ${originalPositions} ` +
        `positions; a graph for ${contextLength} would be wrong for short or for long texts.`,
      `state a context length of at most ${originalPositions}: --context-length ${originalPositions}.`,
    );
  }
  const factors = reader.config.short_factor;
  if (!Array.isArray(factors) || factors.length !== dim / 2 || factors.some((each) => typeof each !== 'number')) {
    throw new InvalidInputError(
      `config.json: "short_factor" is ${JSON.stringify(factors)}; needed is a list of ${dim / 2} numbers.`,
      'correct "short_factor" in config.json, or download it again.',
    );
  }
  const factor = reader.positive('factor', rope.maxPositions / originalPositions);
  const natural = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalPositions));
  return {
    inverse_frequencies: wavelengthBases(rope.rope_theta, dim).map((base, i) =>
      f32(1 / f32(f32(factors[i] as number) * base)),
    ),
    attention_factor: reader.positive('attention_factor', natural),
  };
}

/**
 * Inverse frequencies of a rope over `dim` values of each head, for a graph that serves `contextLength` positions.
 * Follows transformers 5 `modeling_rope_utils.py`; float32 rounding happens where torch rounds.
 * Throws InvalidInputError for a type that is unknown or whose frequencies depend on the length at hand.
 */
export function ropeFrequencies(rope: RopeParameters, dim: number, contextLength: number): Rope {
  const plain = () => wavelengthBases(rope.rope_theta, dim).map((base) => f32(1 / base));
  switch (rope.rope_type) {
    case 'default':
      return { inverse_frequencies: plain(), attention_factor: 1 };
    case 'linear': {
      const factor = rope.reader.positive('factor');
      return { inverse_frequencies: plain().map((each) => f32(each / factor)), attention_factor: 1 };
    }
    case 'dynamic':
      if (contextLength > rope.maxPositions) {
        throw new InvalidInputError(
          `config.json: rope_type "dynamic" changes its frequencies with the length at hand beyond ` +
            `${rope.maxPositions} positions; a graph for ${contextLength} would be wrong.`,
          `state a context length of at most ${rope.maxPositions}: --context-length ${rope.maxPositions}.`,
        );
      }
      return { inverse_frequencies: plain(), attention_factor: 1 };
    case 'yarn':
      return yarn(rope, dim);
    case 'llama3':
      return llama3(rope, dim);
    case 'longrope':
      return longrope(rope, dim, contextLength);
    default:
      throw new InvalidInputError(
        `config.json: rope type ${JSON.stringify(rope.rope_type as Json)} is unknown; ` +
          'supported are default, linear, dynamic, yarn, llama3 and longrope.',
        'convert a checkpoint with one of these, or ask for support of this type.',
      );
  }
}

/** Names of the two rotary tables in a graph's weights. A model with two ropes appends a suffix. */
export const rotaryNames = (suffix = '') => ({ cos: `cos_cache${suffix}`, sin: `sin_cache${suffix}` });

/** The rotary tables as weights: [positions, dim / 2] each. */
export function rotaryTables(rope: Rope, positions: number, suffix = ''): Record<string, WeightSource> {
  const table = (part: RotaryTable['part']): WeightSource => ({ rotary: { ...rope, positions, part } });
  const names = rotaryNames(suffix);
  return { [names.cos]: table('cos'), [names.sin]: table('sin') };
}
