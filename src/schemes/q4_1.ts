import { blockScheme } from './ggml/block_scheme.js';
import { Q4_1 } from './ggml/simple_blocks.js';

/** q4_1: 32 columns share a half-float scale and minimum; value = code * scale + minimum, codes of four bits. */
export default blockScheme('q4_1', Q4_1);
