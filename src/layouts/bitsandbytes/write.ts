import type { DressedCheckpoint, DressedTensor, Dressing, NamedMatrix } from '../../core/dressing.js';
import { UsageError } from '../../core/errors.js';
import nf4, { NF4_VALUES } from '../../schemes/nf4.js';
import { fusedModule, isExpert, listedModules } from '../packing/fused.js';
import { quantStateBytes } from './quant-state.js';

const MAP = [...new Uint8Array(NF4_VALUES.buffer, NF4_VALUES.byteOffset, NF4_VALUES.byteLength)];

/** The writing side: the parts of nf4 as they are, scales in F32 (no double quantization, bitsandbytes' default). */
export const bnbDressing: Dressing = {
  defaults: nf4.defaults,

  check({ scheme }, flag) {
    if (scheme !== 'nf4') throw new UsageError(`${flag} ${scheme}: layout bnb_nf4 writes nf4.`, `${flag} nf4.`);
  },

  // transformers 5 keeps the experts of a layer in one tensor, which bitsandbytes does not quantize
  quantizes: ({ kind, name }) => kind === 'linear' && !isExpert(name),
  fused: (name) => (isExpert(name) ? undefined : fusedModule(name)),
  rowQuantum: () => 1,

  parts(rows, cols, args) {
    const { codes, scales } = nf4.layout(rows, cols, args);
    return { weight: { nbytes: codes.nbytes }, absmax: { nbytes: scales.nbytes } };
  },

  pack(packed, _rows, _cols, _args, out) {
    out.weight.set(packed.codes);
    out.absmax.set(packed.scales);
  },

  tensors({ name, rows, cols }, args): DressedTensor[] {
    const blocksize = args.group_size as number;
    const state = quantStateBytes(blocksize, [rows, cols]);
    const blocks = Math.ceil((rows * cols) / blocksize);
    return [
      { name, dtype: 'U8', shape: [Math.ceil((rows * cols) / 2), 1], content: { part: 'weight' } },
      { name: `${name}.absmax`, dtype: 'F32', shape: [blocks], content: { part: 'absmax' } },
      { name: `${name}.quant_map`, dtype: 'F32', shape: [16], content: { bytes: MAP } },
      { name: `${name}.quant_state.bitsandbytes__nf4`, dtype: 'U8', shape: [state.length], content: { bytes: state } },
    ];
  },

  // every linear module that is not named would be built for 4 bits by transformers; llm_int8_threshold is left at its
  // default, 6.0, which is refused as the integer 6
  config: ({ alone }: DressedCheckpoint) => ({
    quantization_config: {
      _load_in_4bit: true,
      _load_in_8bit: false,
      bnb_4bit_compute_dtype: 'bfloat16',
      bnb_4bit_quant_storage: 'uint8',
      bnb_4bit_quant_type: 'nf4',
      bnb_4bit_use_double_quant: false,
      llm_int8_enable_fp32_cpu_offload: false,
      llm_int8_has_fp16_weight: false,
      llm_int8_skip_modules: skipped(alone),
      load_in_4bit: true,
      load_in_8bit: false,
      quant_method: 'bitsandbytes',
    },
  }),
};

/** `experts`, a part of many names, stands for all of theirs: transformers and vLLM look for it among the parts of a name. */
function skipped(alone: NamedMatrix[]): string[] {
  const modules = alone
    .filter(({ kind }) => kind !== 'embedding' && kind !== 'table')
    .flatMap(({ name }) => (isExpert(name) ? ['experts'] : listedModules([name])));
  return [...new Set(['lm_head', ...modules])];
}
