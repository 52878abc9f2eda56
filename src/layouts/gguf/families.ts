import { InvalidInputError } from '../../core/errors.js';
import type { JsonObject } from '../../core/json.js';
import { own } from '../../core/own.js';

/** How a family of models is named in a GGUF file (gguf-py/gguf/tensor_mapping.py, conversion/*.py of llama.cpp). */
export interface Family {
  /** `general.architecture`. */
  arch: string;
  /** Whether rows of q and k go from halves to pairs, as llama's rotary in ggml wants them. */
  interleaves: boolean;
  /** Hugging Face's name to GGUF's, without `.weight` or `.bias`; `{}` is the number of a layer. */
  names: Record<string, string>;
  /** Matrices of routed experts, merged to one tensor each; `{}` the layer, `{e}` the expert. */
  experts?: Record<string, string>;
  /** Whether norms are stored as their distance from 1, which GGUF adds. */
  normsPlusOne?: boolean;
  /** Whether kv_b_proj becomes two tensors, that of the keys transposed. */
  splitsKeyValue?: boolean;
}

const L = 'model.layers.{}';
const ENDS = { 'model.embed_tokens': 'token_embd', 'model.norm': 'output_norm', lm_head: 'output' };
const PRE_NORMS = {
  [`${L}.input_layernorm`]: 'blk.{}.attn_norm',
  [`${L}.post_attention_layernorm`]: 'blk.{}.ffn_norm',
};
const ATTENTION = {
  [`${L}.self_attn.q_proj`]: 'blk.{}.attn_q',
  [`${L}.self_attn.k_proj`]: 'blk.{}.attn_k',
  [`${L}.self_attn.v_proj`]: 'blk.{}.attn_v',
  [`${L}.self_attn.o_proj`]: 'blk.{}.attn_output',
};
const HEAD_NORMS = {
  [`${L}.self_attn.q_norm`]: 'blk.{}.attn_q_norm',
  [`${L}.self_attn.k_norm`]: 'blk.{}.attn_k_norm',
};
const MLP = {
  [`${L}.mlp.gate_proj`]: 'blk.{}.ffn_gate',
  [`${L}.mlp.up_proj`]: 'blk.{}.ffn_up',
  [`${L}.mlp.down_proj`]: 'blk.{}.ffn_down',
};
const EXPERTS = {
  [`${L}.mlp.experts.{e}.gate_proj`]: 'blk.{}.ffn_gate_exps',
  [`${L}.mlp.experts.{e}.up_proj`]: 'blk.{}.ffn_up_exps',
  [`${L}.mlp.experts.{e}.down_proj`]: 'blk.{}.ffn_down_exps',
};

const llama: Family = {
  arch: 'llama',
  interleaves: true,
  names: { ...ENDS, ...PRE_NORMS, ...ATTENTION, ...MLP },
};

const DOUBLE_NORMS = {
  [`${L}.input_layernorm`]: 'blk.{}.attn_norm',
  [`${L}.post_attention_layernorm`]: 'blk.{}.post_attention_norm',
  [`${L}.pre_feedforward_layernorm`]: 'blk.{}.ffn_norm',
  [`${L}.post_feedforward_layernorm`]: 'blk.{}.post_ffw_norm',
};

const deepseek: Family = {
  arch: 'deepseek2',
  interleaves: false,
  splitsKeyValue: true,
  names: {
    ...ENDS,
    ...PRE_NORMS,
    [`${L}.self_attn.q_proj`]: 'blk.{}.attn_q',
    [`${L}.self_attn.q_a_proj`]: 'blk.{}.attn_q_a',
    [`${L}.self_attn.q_a_layernorm`]: 'blk.{}.attn_q_a_norm',
    [`${L}.self_attn.q_b_proj`]: 'blk.{}.attn_q_b',
    [`${L}.self_attn.kv_a_proj_with_mqa`]: 'blk.{}.attn_kv_a_mqa',
    [`${L}.self_attn.kv_a_layernorm`]: 'blk.{}.attn_kv_a_norm',
    [`${L}.self_attn.o_proj`]: 'blk.{}.attn_output',
    ...MLP,
    [`${L}.mlp.gate`]: 'blk.{}.ffn_gate_inp',
    [`${L}.mlp.gate.e_score_correction`]: 'blk.{}.exp_probs_b',
    [`${L}.mlp.shared_experts.gate_proj`]: 'blk.{}.ffn_gate_shexp',
    [`${L}.mlp.shared_experts.up_proj`]: 'blk.{}.ffn_up_shexp',
    [`${L}.mlp.shared_experts.down_proj`]: 'blk.{}.ffn_down_shexp',
  },
  experts: EXPERTS,
};

const qwen3: Family = {
  arch: 'qwen3',
  interleaves: false,
  names: { ...ENDS, ...PRE_NORMS, ...ATTENTION, ...HEAD_NORMS, ...MLP },
};

/** By the `model_type` of config.json. */
const FAMILIES: Record<string, Family> = own({
  llama,
  mistral: llama,
  ministral: llama,
  granite: { ...llama, arch: 'granite' },
  smollm3: { ...llama, arch: 'smollm3' },
  mixtral: {
    ...llama,
    names: { ...ENDS, ...PRE_NORMS, ...ATTENTION, [`${L}.block_sparse_moe.gate`]: 'blk.{}.ffn_gate_inp' },
    experts: {
      [`${L}.block_sparse_moe.experts.{e}.w1`]: 'blk.{}.ffn_gate_exps',
      [`${L}.block_sparse_moe.experts.{e}.w3`]: 'blk.{}.ffn_up_exps',
      [`${L}.block_sparse_moe.experts.{e}.w2`]: 'blk.{}.ffn_down_exps',
    },
  },
  qwen2: { arch: 'qwen2', interleaves: false, names: llama.names },
  qwen3,
  qwen3_moe: {
    arch: 'qwen3moe',
    interleaves: false,
    names: { ...qwen3.names, [`${L}.mlp.gate`]: 'blk.{}.ffn_gate_inp' },
    experts: EXPERTS,
  },
  phi3: {
    arch: 'phi3',
    interleaves: false,
    names: {
      ...ENDS,
      ...PRE_NORMS,
      [`${L}.self_attn.qkv_proj`]: 'blk.{}.attn_qkv',
      [`${L}.self_attn.o_proj`]: 'blk.{}.attn_output',
      [`${L}.mlp.gate_up_proj`]: 'blk.{}.ffn_up',
      [`${L}.mlp.down_proj`]: 'blk.{}.ffn_down',
    },
  },
  gemma2: {
    arch: 'gemma2',
    interleaves: false,
    normsPlusOne: true,
    names: { ...ENDS, ...DOUBLE_NORMS, ...ATTENTION, ...MLP },
  },
  gemma3_text: {
    arch: 'gemma3',
    interleaves: false,
    normsPlusOne: true,
    names: { ...ENDS, ...DOUBLE_NORMS, ...ATTENTION, ...HEAD_NORMS, ...MLP },
  },
  deepseek_v2: deepseek,
  deepseek_v3: deepseek,
});

/** The family of a config.json. Throws InvalidInputError for one that has no place in a GGUF file here. */
export function familyOf(config: JsonObject): Family {
  const type = config.model_type;
  if (typeof type === 'string' && Object.hasOwn(FAMILIES, type)) return FAMILIES[type];
  throw new InvalidInputError(
    `config.json: model_type ${JSON.stringify(type ?? null)} has no form in layout gguf here; ` +
      `known are ${Object.keys(FAMILIES).join(', ')}.`,
    "write another layout, or use llama.cpp's own converter.",
  );
}
