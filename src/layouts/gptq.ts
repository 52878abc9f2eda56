import { gptqLayout } from './gptq/layout.js';

/** gptq: AutoGPTQ's checkpoints, the first version, which stores zero points less one. Written symmetric. */
export default gptqLayout('gptq');
