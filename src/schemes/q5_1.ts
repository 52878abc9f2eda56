import { blockScheme } from './ggml/block_scheme.js';
import { Q5_1 } from './ggml/simple_blocks.js';

/** q5_1: 32 columns share a half-float scale and minimum; value = code * scale + minimum, codes of five bits. */
export default blockScheme('q5_1', Q5_1);
