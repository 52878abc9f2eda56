import type { Architecture } from '../core/architecture.js';
import mistral from './mistral.js';

/**
 * Ministral 8B (transformers: models/ministral): the drawing of mistral under the name that goes with `layer_types`. The
 * config parsed is mistral's, the name by which runtimes know this model.
 */
export default {
  ...mistral,
  parseConfig: (config, note) => mistral.parseConfig({ ...config, model_type: 'mistral' }, note),
  example: { ...mistral.example, model_type: 'ministral', layer_types: ['sliding_attention', 'full_attention'] },
} satisfies Architecture<ReturnType<typeof mistral.parseConfig>>;
