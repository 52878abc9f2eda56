import { blockScheme } from './ggml/block_scheme.js';
import { Q4_K } from './ggml/super_blocks.js';

/** q4_k: 32 columns share a scale and a minimum of six bits; value = code * scale - minimum, codes of four bits. */
export default blockScheme('q4_k', Q4_K);
