import { matchesGlob } from '../core/glob.js';
import type { Pass, Weight } from '../core/graph.js';
import type { ConvertOptions } from '../core/options.js';
import type { QuantizationArgs } from '../core/scheme.js';
import { pass } from '../graph/pass.js';

/** Plain float32, the scheme of everything that is not a matrix. */
export const FLOAT32: QuantizationArgs = {
  scheme: 'f32',
  strategy: 'tensor',
  symmetric: true,
  scale_dtype: 'F32',
  algorithm: 'rtn',
};

/** Plain float16, as embeddings have it that are no blocks of integers. */
export const FLOAT16: QuantizationArgs = { ...FLOAT32, scheme: 'f16' };

type Settings = Pick<ConvertOptions, 'weights' | 'embeddings' | 'lmHead' | 'only' | 'skip' | 'overrides'>;

function schemeOf(weight: Weight, settings: Settings): QuantizationArgs {
  if (weight.role === 'float') return FLOAT32;
  const override = settings.overrides.findLast((each) => matchesGlob(weight.name, each.pattern));
  if (override) return override.scheme;
  const selected = settings.only.length === 0 || settings.only.some((glob) => matchesGlob(weight.name, glob));
  if (!selected || settings.skip.some((glob) => matchesGlob(weight.name, glob))) return FLOAT32;
  if (weight.role === 'embedding') return settings.embeddings;
  return weight.role === 'lm_head' ? settings.lmHead : settings.weights;
}

const SCHEMES = {
  name: 'assign_schemes',
  removes: [],
  leaves: [],
};

/** Gives every weight its scheme: by role, then `--only` and `--skip`, then the last `--override` that matches. */
export function assignSchemes(settings: Settings): Pass {
  return pass(SCHEMES, (graph) => ({
    ...graph,
    weights: Object.fromEntries(
      Object.values(graph.weights).map((weight) => [weight.name, { ...weight, scheme: schemeOf(weight, settings) }]),
    ),
  }));
}
