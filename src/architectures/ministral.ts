import type { Architecture } from '../core/architecture.js';
import mistral from './mistral.js';

/** Ministral 8B (transformers: models/ministral): the drawing of mistral, under the name that goes with `layer_types`. */
export default {
  ...mistral,
  example: { ...mistral.example, model_type: 'ministral', layer_types: ['sliding_attention', 'full_attention'] },
} satisfies Architecture<ReturnType<typeof mistral.parseConfig>>;
