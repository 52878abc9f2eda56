import { gptqLayout } from './gptq/layout.js';

/** gptq_v2: GPTQModel's checkpoints, the second version, which stores zero points as they are. */
export default gptqLayout('gptq_v2');
