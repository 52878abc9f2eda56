import type { Dtype } from '../../src/core/dtype.js';
import type { JsonObject } from '../../src/core/json.js';

/** A stored tensor: `norm` values lie around 1, `scale` ones are small and positive, `weight` ones are N(0, 0.02). */
export interface ShapedTensor {
  name: string;
  dtype: Dtype;
  shape: number[];
  values: 'weight' | 'norm' | 'scale';
}

/** A published model's config.json, as far as it matters. */
export const SHAPES: Record<string, JsonObject> = {
  'qwen2-0.5b': qwen2(896, 4864, 24, 14, 2, 151936, true, 32768),
  'qwen2-1.5b': qwen2(1536, 8960, 28, 12, 2, 151936, true, 131072),
  'r1-distill-qwen-1.5b': qwen2(1536, 8960, 28, 12, 2, 151936, false, 131072),
  'qwen2-7b': qwen2(3584, 18944, 28, 28, 4, 152064, false, 131072),
  'qwen2-14b': qwen2(5120, 13824, 48, 40, 8, 152064, false, 131072),
  'llama-8b': {
    architectures: ['LlamaForCausalLM'],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: 128000,
    eos_token_id: 128001,
    hidden_act: 'silu',
    hidden_size: 4096,
    initializer_range: 0.02,
    intermediate_size: 14336,
    max_position_embeddings: 131072,
    mlp_bias: false,
    model_type: 'llama',
    num_attention_heads: 32,
    num_hidden_layers: 32,
    num_key_value_heads: 8,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_scaling: {
      factor: 8,
      high_freq_factor: 4,
      low_freq_factor: 1,
      original_max_position_embeddings: 8192,
      rope_type: 'llama3',
    },
    rope_theta: 500000,
    tie_word_embeddings: false,
    torch_dtype: 'bfloat16',
    use_cache: true,
    vocab_size: 128256,
  },
  'deepseek-v2-lite': {
    architectures: ['DeepseekV2ForCausalLM'],
    ...deepseek(2048, 10944, 1408, 27, 16, 102400, 163840),
    model_type: 'deepseek_v2',
    q_lora_rank: null,
    n_routed_experts: 64,
    n_shared_experts: 2,
    num_experts_per_tok: 6,
    first_k_dense_replace: 1,
    n_group: 1,
    topk_group: 1,
    norm_topk_prob: false,
    routed_scaling_factor: 1,
    scoring_func: 'softmax',
    topk_method: 'greedy',
    aux_loss_alpha: 0.001,
    seq_aux: true,
    // biome-ignore lint/suspicious/noApproximativeNumericConstant: the published value, not an approximation
    rope_scaling: yarn(0.707),
  },
  'deepseek-v3': {
    architectures: ['DeepseekV3ForCausalLM'],
    ...deepseek(7168, 18432, 2048, 61, 128, 129280, 163840),
    model_type: 'deepseek_v3',
    q_lora_rank: 1536,
    n_routed_experts: 256,
    n_shared_experts: 1,
    num_experts_per_tok: 8,
    first_k_dense_replace: 3,
    n_group: 8,
    topk_group: 4,
    norm_topk_prob: true,
    routed_scaling_factor: 2.5,
    scoring_func: 'sigmoid',
    topk_method: 'noaux_tc',
    num_nextn_predict_layers: 1,
    rope_scaling: yarn(1),
    quantization_config: {
      activation_scheme: 'dynamic',
      fmt: 'e4m3',
      quant_method: 'fp8',
      weight_block_size: [128, 128],
    },
  },
};

/** Qwen2 0.5B and 1.5B as published by Qwen, the larger ones as DeepSeek-R1-Distill-Qwen. */
function qwen2(
  hidden_size: number,
  intermediate_size: number,
  num_hidden_layers: number,
  num_attention_heads: number,
  num_key_value_heads: number,
  vocab_size: number,
  tie_word_embeddings: boolean,
  max_position_embeddings: number,
): JsonObject {
  return {
    architectures: ['Qwen2ForCausalLM'],
    attention_dropout: 0,
    bos_token_id: 151643,
    eos_token_id: 151643,
    hidden_act: 'silu',
    hidden_size,
    initializer_range: 0.02,
    intermediate_size,
    max_position_embeddings,
    max_window_layers: num_hidden_layers,
    model_type: 'qwen2',
    num_attention_heads,
    num_hidden_layers,
    num_key_value_heads,
    rms_norm_eps: 1e-6,
    rope_theta: tie_word_embeddings ? 1000000 : 10000,
    sliding_window: 4096,
    tie_word_embeddings,
    torch_dtype: 'bfloat16',
    use_cache: true,
    use_sliding_window: false,
    vocab_size,
  };
}

function deepseek(
  hidden_size: number,
  intermediate_size: number,
  moe_intermediate_size: number,
  num_hidden_layers: number,
  num_attention_heads: number,
  vocab_size: number,
  max_position_embeddings: number,
): JsonObject {
  return {
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: vocab_size === 129280 ? 0 : 100000,
    eos_token_id: vocab_size === 129280 ? 1 : 100001,
    ep_size: 1,
    hidden_act: 'silu',
    hidden_size,
    initializer_range: 0.02,
    intermediate_size,
    kv_lora_rank: 512,
    max_position_embeddings,
    moe_intermediate_size,
    moe_layer_freq: 1,
    num_attention_heads,
    num_hidden_layers,
    num_key_value_heads: num_attention_heads,
    pretraining_tp: 1,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    tie_word_embeddings: false,
    torch_dtype: 'bfloat16',
    use_cache: true,
    v_head_dim: 128,
    vocab_size,
  };
}

function yarn(mscale: number): JsonObject {
  return {
    beta_fast: 32,
    beta_slow: 1,
    factor: 40,
    mscale,
    mscale_all_dim: mscale,
    original_max_position_embeddings: 4096,
    type: 'yarn',
  };
}

/** The tensors of a model with this config, in the order of its state dict. */
export function tensorsOf(config: JsonObject): ShapedTensor[] {
  const size = (key: string) => config[key] as number;
  const hidden = size('hidden_size');
  const inFp8 = config.quantization_config !== undefined;
  const tensors: ShapedTensor[] = [];
  const add = (name: string, shape: number[], values: ShapedTensor['values'] = 'weight', dtype: Dtype = 'BF16') =>
    tensors.push({ name, dtype, shape, values });
  const matrix = (name: string, rows: number, cols: number) => {
    add(`${name}.weight`, [rows, cols], 'weight', inFp8 ? 'F8_E4M3' : 'BF16');
    if (inFp8) add(`${name}.weight_scale_inv`, [Math.ceil(rows / 128), Math.ceil(cols / 128)], 'scale', 'F32');
  };
  const mlp = (path: string, width: number) => {
    matrix(`${path}.gate_proj`, width, hidden);
    matrix(`${path}.up_proj`, width, hidden);
    matrix(`${path}.down_proj`, hidden, width);
  };

  add('model.embed_tokens.weight', [size('vocab_size'), hidden]);
  const layer = (index: number) => {
    const path = `model.layers.${index}`;
    if (config.kv_lora_rank !== undefined) latentAttention(`${path}.self_attn`);
    else attention(`${path}.self_attn`);
    if (config.n_routed_experts !== undefined && index >= size('first_k_dense_replace')) experts(`${path}.mlp`);
    else mlp(`${path}.mlp`, size('intermediate_size'));
    add(`${path}.input_layernorm.weight`, [hidden], 'norm');
    add(`${path}.post_attention_layernorm.weight`, [hidden], 'norm');
  };
  for (let index = 0; index < size('num_hidden_layers'); index++) layer(index);
  if (config.num_nextn_predict_layers) prediction(size('num_hidden_layers'));
  add('model.norm.weight', [hidden], 'norm');
  if (!config.tie_word_embeddings) add('lm_head.weight', [size('vocab_size'), hidden]);
  return tensors;

  function attention(path: string): void {
    const head = hidden / size('num_attention_heads');
    for (const [name, heads] of [
      ['q', size('num_attention_heads')],
      ['k', size('num_key_value_heads')],
      ['v', size('num_key_value_heads')],
    ] as const) {
      matrix(`${path}.${name}_proj`, heads * head, hidden);
      if (config.model_type === 'qwen2') add(`${path}.${name}_proj.bias`, [heads * head]);
    }
    matrix(`${path}.o_proj`, hidden, size('num_attention_heads') * head);
  }

  function latentAttention(path: string): void {
    const heads = size('num_attention_heads');
    const [nope, rope, latent] = [size('qk_nope_head_dim'), size('qk_rope_head_dim'), size('kv_lora_rank')];
    if (config.q_lora_rank === null) matrix(`${path}.q_proj`, heads * (nope + rope), hidden);
    else {
      matrix(`${path}.q_a_proj`, size('q_lora_rank'), hidden);
      add(`${path}.q_a_layernorm.weight`, [size('q_lora_rank')], 'norm');
      matrix(`${path}.q_b_proj`, heads * (nope + rope), size('q_lora_rank'));
    }
    matrix(`${path}.kv_a_proj_with_mqa`, latent + rope, hidden);
    add(`${path}.kv_a_layernorm.weight`, [latent], 'norm');
    matrix(`${path}.kv_b_proj`, heads * (nope + size('v_head_dim')), latent);
    matrix(`${path}.o_proj`, hidden, heads * size('v_head_dim'));
  }

  function prediction(index: number): void {
    const path = `model.layers.${index}`;
    add(`${path}.embed_tokens.weight`, [size('vocab_size'), hidden]);
    for (const norm of ['enorm', 'hnorm', 'shared_head.norm']) add(`${path}.${norm}.weight`, [hidden], 'norm');
    add(`${path}.eh_proj.weight`, [hidden, 2 * hidden]);
    add(`${path}.shared_head.head.weight`, [size('vocab_size'), hidden]);
    layer(index);
  }

  function experts(path: string): void {
    const width = size('moe_intermediate_size');
    add(`${path}.gate.weight`, [size('n_routed_experts'), hidden]);
    if (config.topk_method === 'noaux_tc') {
      add(`${path}.gate.e_score_correction_bias`, [size('n_routed_experts')], 'scale', 'F32');
    }
    for (let expert = 0; expert < size('n_routed_experts'); expert++) mlp(`${path}.experts.${expert}`, width);
    mlp(`${path}.shared_experts`, width * size('n_shared_experts'));
  }
}
