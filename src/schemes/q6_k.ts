import { blockScheme } from './ggml/block_scheme.js';
import { Q6_K } from './ggml/super_blocks.js';

/** q6_k: 16 columns share a scale of eight bits; value = (code - 32) * scale, codes of six bits. */
export default blockScheme('q6_k', Q6_K);
