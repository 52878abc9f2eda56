import { InvalidInputError } from '../core/errors.js';
import { isObject, type Json, type JsonObject } from '../core/json.js';
import { yarnMagnitude } from '../core/rope-factors.js';
import type { RotaryTable, WeightSource } from '../core/weights.js';
import { ConfigReader, refuse, refuseUnsupportedKeys, show } from './config.js';

const f32 = Math.fround;

/** Config keys that this block reads. */
export const ROPE_KEYS = [
  'rope_theta',
  'rope_scaling',
  'rope_parameters',
  'original_max_position_embeddings',
  'partial_rotary_factor',
];

/** Keys that a rope may hold, whatever its type; what is in none of these is reported like any unknown key. */
const SETTINGS = [
  'attention_factor',
  'beta_fast',
  'beta_slow',
  'factor',
  'finetuned',
  'high_freq_factor',
  'long_factor',
  'low_freq_factor',
  'mscale',
  'mscale_all_dim',
  'original_max_position_embeddings',
  'partial_rotary_factor',
  'rope_theta',
  'rope_type',
  'short_factor',
  'truncate',
  'type',
];

/** Settings of a rope that matter and are not drawn, with their neutral values. */
const UNSUPPORTED = { llama_4_scaling_beta: [null, 0] };

/** Where a rope repeats its model's length: nothing reads it. */
const REPEATED = ['max_position_embeddings'];

/** Kinds of layers that may have a rope of their own. */
const LAYER_KINDS = ['full_attention', 'sliding_attention'];

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
  /** Part of each head that is rotated. */
  part: number;
  /** Whether YaRN's range is rounded to whole frequencies. */
  truncate: boolean;
}

/** How a family reads its rope. */
export interface RopeRules {
  maxPositions: number;
  /** rope_theta where the config has none. */
  defaultTheta?: number;
  /** Whether the family rotates a part of each head (`partial_rotary_factor`); others ignore it or cannot have it. */
  rotatesPart?: boolean;
  /** That part where the config does not name it: 1 if not given. */
  defaultPart?: number;
  /** Whether the family's queries grow with their position (`llama_4_scaling_beta`). */
  growsQueries?: boolean;
  /** The original length where none stands beside the rope, in a family that never reads the one inside. */
  lengthBeside?: number;
}

const nonEmpty = (value: JsonObject | undefined) => (value && Object.keys(value).length > 0 ? value : undefined);

/** Keys inside of `rope_scaling` and `rope_parameters` that nothing here reads, with their paths. */
export function unknownRopeKeys(config: JsonObject): string[] {
  const within = (value: Json | undefined, path: string): string[] => {
    if (!isObject(value)) return [];
    return Object.keys(value).flatMap((key) => {
      if (LAYER_KINDS.includes(key)) return within(value[key], `${path}.${key}`);
      return [...SETTINGS, ...REPEATED, ...Object.keys(UNSUPPORTED)].includes(key) ? [] : [`${path}.${key}`];
    });
  };
  return ['rope_parameters', 'rope_scaling'].flatMap((key) => within(config[key], key)).sort();
}

/**
 * Reads the one rope of a config: `rope_theta` and `rope_scaling` (transformers 4) or `rope_parameters` (transformers 5).
 * As in transformers 5.18 a `rope_scaling` that is not empty replaces `rope_parameters` with all that is in it.
 */
export function ropeParameters(config: ConfigReader, rules: RopeRules): RopeParameters {
  const scaling = nonEmpty(config.object('rope_scaling'));
  const parameters = nonEmpty(config.object('rope_parameters'));
  const settings = scaling ?? parameters ?? {};
  const kinds = LAYER_KINDS.filter((kind) => isObject(settings[kind]));
  if (kinds.length > 0) {
    refuse(
      scaling ? 'rope_scaling' : 'rope_parameters',
      settings,
      'one rope: this family has none for each kind of layer',
    );
  }
  const rope = standardRope(config, settings, rules);
  if (scaling && parameters) {
    const other = standardRope(new ConfigReader({ ...config.config, rope_scaling: null }), parameters, rules);
    if (!sameRope(rope, other)) {
      config.note(
        'config.json: "rope_scaling" and "rope_parameters" differ: "rope_scaling" is taken and nothing of the other, as ' +
          `transformers does; rope_theta is ${rope.rope_theta}, ${thetaPlace(config, settings)}.`,
      );
    }
  }
  return rope;
}

const thetaPlace = (config: ConfigReader, settings: JsonObject) =>
  'rope_theta' in settings
    ? 'the one inside of it'
    : 'rope_theta' in config.config
      ? 'the one beside it'
      : "the family's default";

function sameRope(a: RopeParameters, b: RopeParameters): boolean {
  const plain = ({ reader, ...rest }: RopeParameters) => {
    const {
      type: _,
      rope_type: __,
      rope_theta: ___,
      original_max_position_embeddings: ____,
      ...settings
    } = reader.config;
    return JSON.stringify([Object.entries(rest), Object.entries(settings).sort()]);
  };
  return plain(a) === plain(b);
}

/** One rope of a config: `settings` as they stand, completed from what stands beside them. */
export function standardRope(
  config: ConfigReader,
  settings: JsonObject,
  {
    maxPositions,
    defaultTheta = 10000,
    rotatesPart = false,
    defaultPart = 1,
    growsQueries = false,
    lengthBeside,
  }: RopeRules,
): RopeParameters {
  if (!growsQueries) refuseUnsupportedKeys(settings, UNSUPPORTED, 'rope_parameters.');
  const reader = new ConfigReader(settings, config.note);
  // transformers: where a key stands its value counts, null as well
  const { rope_theta: beside = defaultTheta } = config.config;
  const theta = new ConfigReader({ rope_theta: beside, ...settings }).positive('rope_theta');
  tellApart(config, settings, 'rope_theta');
  const type = ropeType(reader);
  const part = rotatedPart(config, settings, { type, rotatesPart, defaultPart });
  return {
    rope_type: type,
    rope_theta: theta,
    reader,
    maxPositions,
    originalPositions: originalLength(config, reader, type, maxPositions, lengthBeside),
    part,
    truncate: reader.flag('truncate', true),
  };
}

/** Says that the value inside of the rope is taken where another one stands beside it. */
function tellApart(config: ConfigReader, settings: JsonObject, key: string): void {
  const [inside, beside] = [settings[key], config.config[key]];
  if (inside === undefined || beside === undefined || beside === null || inside === beside) return;
  config.note(
    `config.json: "${key}" is ${show(inside)} inside of the rope and ${show(beside)} beside it: ${show(inside)} is taken, ` +
      'as transformers does.',
  );
}

function ropeType(reader: ConfigReader): string {
  const { rope_type: newer, type: older } = reader.config;
  if (newer === undefined) return reader.text('type', 'default');
  if (typeof newer !== 'string') return refuse('rope_type', newer, 'a string');
  if (typeof older === 'string' && older !== newer) {
    reader.note(`config.json: a rope has the rope_type "${newer}" and the type "${older}": "${newer}" is taken.`);
  }
  return newer;
}

function originalLength(
  config: ConfigReader,
  reader: ConfigReader,
  type: string,
  maxPositions: number,
  lengthBeside?: number,
): number {
  const key = 'original_max_position_embeddings';
  const inside = reader.config[key];
  const beside = config.config[key] ?? (config.config[key] === null ? null : lengthBeside);
  if (!SCALED_BY_LENGTH.includes(type)) return Number(inside ?? beside ?? maxPositions);
  const taken = new ConfigReader({
    [key]: beside === undefined ? (inside === undefined ? maxPositions : inside) : beside,
  });
  if (inside !== undefined && beside !== undefined && inside !== beside) {
    const named =
      config.config[key] === undefined
        ? `${show(beside)} is what this family takes without one`
        : `${show(beside)} stands`;
    config.note(
      `config.json: "${key}" is ${show(inside)} inside of the rope, and ${named} beside it: ${show(beside)} is taken, as ` +
        'transformers does.',
    );
  }
  return taken.size(key);
}

/** Types of rope that are scaled by the original length. */
const SCALED_BY_LENGTH = ['yarn', 'llama3', 'longrope', 'su'];

/**
 * The part of each head that is rotated. transformers passes over `partial_rotary_factor` in families that rotate whole
 * heads, as long as the rope is not scaled; with another rope it fails.
 */
function rotatedPart(
  config: ConfigReader,
  settings: JsonObject,
  { type, rotatesPart, defaultPart }: { type: string; rotatesPart: boolean; defaultPart: number },
): number {
  const key = 'partial_rotary_factor';
  // transformers: a null beside the rope counts as none, but takes the place of the family's default
  const { [key]: beside = defaultPart } = config.config;
  const value = key in settings ? settings[key] : (beside ?? 1);
  if (value === 1) return 1;
  if (rotatesPart) {
    tellApart(config, settings, key);
    return new ConfigReader({ [key]: value }).positive(key);
  }
  if (type !== 'default') return refuse(key, value, `1 with rope_type "${type}" in this family`);
  config.note(
    `config.json: "${key}" is ${show(value)}: passed over, as transformers rotates whole heads in this family.`,
  );
  return 1;
}

/** How many values of each head are rotated, in a family that rotates a part. */
export function rotatedValues({ part }: RopeParameters, headDim: number): number {
  const rotated = Math.floor(headDim * part);
  if (rotated % 2 !== 0) refuse('partial_rotary_factor', part, `an even part of ${headDim} values`);
  return rotated;
}

/** theta^(2i/dim) in float32, as torch computes it from an arange. */
function wavelengthBases(theta: number, dim: number): number[] {
  return Array.from({ length: dim / 2 }, (_, i) => f32(theta ** f32((2 * i) / dim)));
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
  const { truncate } = rope;
  // transformers: 0 counts as none
  const fast = correctionDim(reader.number('beta_fast', 32) || 32);
  const slow = correctionDim(reader.number('beta_slow', 1) || 1);
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

/** Positions up to which the frequencies of a rope hold, whatever the length at hand; Infinity for most types. */
export function positionsServed({ rope_type, originalPositions, maxPositions }: RopeParameters): number {
  if (rope_type === 'longrope') return originalPositions;
  return rope_type === 'dynamic' ? maxPositions : Number.POSITIVE_INFINITY;
}

/** Names of the two rotary tables in a graph's weights. A model with two ropes appends a suffix. */
export const rotaryNames = (suffix = '') => ({ cos: `cos_cache${suffix}`, sin: `sin_cache${suffix}` });

/** The rotary tables as weights: [positions, dim / 2] each. */
export function rotaryTables(rope: Rope, positions: number, suffix = ''): Record<string, WeightSource> {
  const table = (part: RotaryTable['part']): WeightSource => ({ rotary: { ...rope, positions, part } });
  const names = rotaryNames(suffix);
  return { [names.cos]: table('cos'), [names.sin]: table('sin') };
}
