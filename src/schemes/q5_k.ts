import { blockScheme } from './ggml/block_scheme.js';
import { Q5_K } from './ggml/super_blocks.js';

/** q5_k: 32 columns share a scale and a minimum of six bits; value = code * scale - minimum, codes of five bits. */
export default blockScheme('q5_k', Q5_K);
