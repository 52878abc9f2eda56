import { blockScheme } from './ggml/block_scheme.js';
import { Q5_0 } from './ggml/simple_blocks.js';

/** q5_0: 32 columns share a half-float scale; value = (code - 16) * scale, codes of five bits. */
export default blockScheme('q5_0', Q5_0);
