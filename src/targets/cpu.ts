import type { Target } from '../core/target.js';
import { checkSchemes, decoderPasses, OPERATORS, OPSETS } from './one-graph/decoder.js';

/** ONNX Runtime on the CPU: one graph with the contrib operators of onnxruntime-genai's builder. */
export default {
  defaults: {},
  opsets: OPSETS,
  operators: OPERATORS,
  check: checkSchemes,

  stages(options, drawn) {
    const file = drawn === 'decoder' ? 'model.onnx' : `${drawn}.onnx`;
    return [{ file, dataFile: `${file}.data`, passes: decoderPasses(options) }];
  },
} satisfies Target;
