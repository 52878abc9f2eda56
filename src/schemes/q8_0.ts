import { blockScheme } from './ggml/block_scheme.js';
import { Q8_0 } from './ggml/simple_blocks.js';

/** q8_0: 32 columns share a half-float scale; value = code * scale, codes are signed bytes. */
export default blockScheme('q8_0', Q8_0);
