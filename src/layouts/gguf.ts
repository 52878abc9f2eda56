import type { Dressing } from '../core/dressing.js';
import { UsageError } from '../core/errors.js';
import { GGML_TYPES } from '../core/gguf.js';
import type { Layout } from '../core/layout.js';
import q4_k from '../schemes/q4_k.js';
import { ggufTensors } from './gguf/contents.js';
import { FILE_TYPES, fitting, MIXES, mayQuantize, schemeOf } from './gguf/mixes.js';
import { ggufRows, undressGguf } from './gguf/read.js';
import { quantizationConfig } from './packing/stored-tensors.js';

const noSafetensors = (): never => {
  throw new Error('layout gguf packs nothing: its schemes have the bytes of its file');
};

const dressing: Dressing = {
  defaults: q4_k.defaults,

  check({ scheme }, flag) {
    if (Object.hasOwn(GGML_TYPES, scheme)) return;
    const known = [...Object.keys(GGML_TYPES), ...Object.keys(MIXES)].join(', ');
    throw new UsageError(`${flag} ${scheme}: layout gguf has ${known}.`, `${flag} q4_k_m.`);
  },

  quantizes: ({ rows }) => rows > 1,
  rowQuantum: () => 1,
  parts: noSafetensors,
  pack: noSafetensors,
  tensors: noSafetensors,
  config: noSafetensors,

  container: {
    mixes: MIXES,
    tensors: ggufTensors,
    schemeOf,
    fitting: (scheme, tensor) => (mayQuantize(tensor) ? fitting(scheme, tensor.cols) : 'f32'),
    fileType: (wanted) => FILE_TYPES[wanted],
  },
};

/**
 * gguf: a model of llama.cpp in one file, weights in ggml's blocks, settings and tokenizer in its header. What reads
 * the file gives config.json's keys from the header, and in quantization_config the type of each tensor.
 */
export default {
  matches: (config) => quantizationConfig(config).quant_method === 'gguf',
  undress: undressGguf,
  ...ggufRows,
  dressing,
} satisfies Layout;
