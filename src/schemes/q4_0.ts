import { blockScheme } from './ggml/block_scheme.js';
import { Q4_0 } from './ggml/simple_blocks.js';

/** q4_0: 32 columns share a half-float scale; value = (code - 8) * scale, codes of four bits. */
export default blockScheme('q4_0', Q4_0);
