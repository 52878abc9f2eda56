/**
 * Every setting of a config against an independent computation in float64: configs drawn at random, checkpoints of
 * random weights, and the logits of packages in prefill and in decode.
 */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { largestDifference } from '../runtime/expectations.js';
import { decoderShapes, type Tensors, writeRandomCheckpoint } from './independent/checkpoint.js';
import { type DeepseekSettings, deepseekShapes, deepseekV2, deepseekV3, type Yarn } from './independent/deepseek.js';
import type { Matrix } from './independent/float64.js';
import { gemma2 } from './independent/gemma2.js';
import type { GroupedSettings } from './independent/grouped.js';
import { mixtral } from './independent/mixtral.js';
import { phi3 } from './independent/phi3.js';
import { hasExperts, qwen3Moe } from './independent/qwen3_moe.js';
import { workFolder } from './packages.js';

/** Float32 against float64 stays below 5e-5 in the fixtures' goldens; a wrong switch moves logits by 1e-3 and more. */
const TOLERANCE = 2e-4;
/** Float32 noise in the scores of experts is some 1e-6: nearer decisions may fall either way, and are not tests. */
const NEAR_TIE = 2e-5;
const VOCABULARY = 61;
const work = workFolder();

type Shapes = Record<string, number[]>;
type Result = { logits: Matrix; margin: number };

interface Family<S> {
  settings: fc.Arbitrary<S>;
  shapes: (settings: S) => Shapes;
  /** config.json of these settings. */
  config: (settings: S) => object;
  compute: (settings: S, tensors: Tensors, ids: number[]) => Result;
  /** Around what the gains of norms lie. */
  gain?: number;
  requests?: ConvertRequest[];
  runs: number;
}

/** The settings without what config.json spells in another way, under transformers' model_type. */
const plainly = (model_type: string, { yarn, longrope, ...rest }: Record<string, unknown>) => ({ model_type, ...rest });

/** A rope as transformers 4 writes it, or as 5 does. */
function spelled(newer: boolean, theta: number, rope: object | null, type: string): object {
  if (newer) {
    return { dtype: 'float32', rope_parameters: { rope_theta: theta, rope_type: rope ? type : 'default', ...rope } };
  }
  return { torch_dtype: 'float32', rope_theta: theta, rope_scaling: rope && { type, ...rope } };
}

function family<S extends object>(name: string, cases: Family<S>): void {
  const { requests = [{}], gain = 1, runs } = cases;
  const drawn = fc.sample(fc.tuple(cases.settings, fc.boolean()), { seed: 20, numRuns: runs });
  for (const [index, [settings, newer]] of drawn.entries()) {
    test(`${name} ${index}`, async () => {
      const { rope_theta, ...config } = cases.config(settings) as Record<string, unknown>;
      const rope = ropeOf(settings as Record<string, unknown>);
      const checkpoint = work.path(`${name}-${index}`);
      const spelling = spelled(newer, rope_theta as number, rope.settings, rope.type);
      const shapes = cases.shapes(settings);
      const tensors = writeRandomCheckpoint(checkpoint, { ...config, ...spelling }, shapes, gain);
      const ids = Array.from({ length: 13 }, (_, i) => (i * i * 7 + index) % VOCABULARY);
      const { logits, margin } = cases.compute(settings, tensors, ids);
      assert.ok(margin > NEAR_TIE, `a routing decision with a margin of ${margin}: a near-tie, draw other weights`);
      const expected = Float32Array.from(logits.flat());
      for (const request of requests) {
        const { dir } = await work.convert(checkpoint, { weights: 'f32', ...request });
        const decoder = await openDecoder(dir, { threads: 1 });
        try {
          const shown = () => `${JSON.stringify({ ...config, ...spelling, ...request })}, least margin ${margin}`;
          const off = largestDifference(await decoder.logitsOf([ids]), expected);
          assert.ok(off <= TOLERANCE, `${off} off: ${shown()}`);
          const apart = largestDifference(await decoder.start(4).append(ids, { chunk: 4 }), expected);
          assert.ok(apart <= TOLERANCE, `decode is ${apart} off: ${shown()}`);
        } finally {
          await decoder.close();
        }
      }
    });
  }
}

function ropeOf(settings: Record<string, unknown>): { settings: object | null; type: string } {
  if (settings.longrope) return { settings: settings.longrope as object, type: 'longrope' };
  return { settings: (settings.yarn as object) ?? null, type: 'yarn' };
}

const yarn: fc.Arbitrary<Yarn> = fc.record(
  {
    factor: fc.constantFrom(2, 4, 40),
    original_max_position_embeddings: fc.constantFrom(8, 32),
    beta_fast: fc.constantFrom(32, 4),
    beta_slow: fc.constant(1),
    mscale: fc.constantFrom(0.7, 1, 1.3),
    mscale_all_dim: fc.constantFrom(0, 0.7, 1),
  },
  { requiredKeys: ['factor', 'original_max_position_embeddings', 'beta_fast', 'beta_slow'] },
);

const deepseek: fc.Arbitrary<DeepseekSettings> = fc
  .record({
    hidden_size: fc.constantFrom(32, 40),
    intermediate_size: fc.constantFrom(24, 36),
    moe_intermediate_size: fc.constantFrom(8, 20),
    num_hidden_layers: fc.constantFrom(2, 3),
    num_attention_heads: fc.constantFrom(1, 2, 3),
    q_lora_rank: fc.constantFrom(null, 24),
    kv_lora_rank: fc.constantFrom(16, 24),
    qk_nope_head_dim: fc.constantFrom(8, 12),
    qk_rope_head_dim: fc.constantFrom(4, 8),
    v_head_dim: fc.constantFrom(8, 20),
    group_size: fc.constantFrom(2, 3),
    n_shared_experts: fc.constantFrom(null, 1, 2),
    num_experts_per_tok: fc.constantFrom(1, 2),
    n_group: fc.constantFrom(1, 2, 4),
    few_groups: fc.boolean(),
    first_k_dense_replace: fc.constantFrom(0, 1),
    moe_layer_freq: fc.constantFrom(1, 1, 2),
    routed_scaling_factor: fc.constantFrom(1, 2.5),
    rms_norm_eps: fc.constantFrom(1e-6, 1e-5),
    rope_theta: fc.constantFrom(10000, 500000),
    attention_bias: fc.boolean(),
    tie_word_embeddings: fc.boolean(),
    yarn: fc.option(yarn),
  })
  .map(({ group_size, few_groups, ...settings }) => ({
    ...settings,
    vocab_size: VOCABULARY,
    n_routed_experts: group_size * settings.n_group,
    topk_group: few_groups ? Math.ceil(settings.n_group / 2) : settings.n_group,
  }));

const sized = (model_type: string, settings: object) => ({
  ...plainly(model_type, settings as Record<string, unknown>),
  max_position_embeddings: 128,
});
const bothForms: ConvertRequest[] = [{ mla: 'latent' }, { mla: 'expanded' }];

family('deepseek_v2', {
  settings: fc
    .tuple(deepseek, fc.constantFrom<'greedy' | 'group_limited_greedy'>('greedy', 'group_limited_greedy'))
    .map(([settings, topk_method]) => ({ ...settings, topk_method })),
  shapes: (settings) => deepseekShapes(settings, false),
  config: (settings) => sized('deepseek_v2', settings),
  compute: deepseekV2,
  requests: bothForms,
  runs: 8,
});

family('deepseek_v3', {
  settings: fc
    .tuple(deepseek, fc.record({ norm_topk_prob: fc.boolean(), rope_interleave: fc.boolean() }))
    .map(([settings, more]) => ({ ...settings, ...more })),
  shapes: (settings) => deepseekShapes(settings, true),
  config: (settings) => sized('deepseek_v3', settings),
  compute: deepseekV3,
  requests: bothForms,
  runs: 8,
});

const grouped: fc.Arbitrary<GroupedSettings> = fc
  .record({
    hidden_size: fc.constantFrom(32, 48),
    intermediate_size: fc.constantFrom(24, 36),
    num_hidden_layers: fc.constantFrom(2, 3),
    num_key_value_heads: fc.constantFrom(1, 2),
    queries_per_key: fc.constantFrom(1, 2),
    head_dim: fc.constantFrom(8, 16, 24),
    rms_norm_eps: fc.constantFrom(1e-6, 1e-5),
    rope_theta: fc.constantFrom(10000, 1000000),
    tie_word_embeddings: fc.boolean(),
  })
  .map(({ queries_per_key, ...settings }) => ({
    ...settings,
    vocab_size: VOCABULARY,
    num_attention_heads: queries_per_key * settings.num_key_value_heads,
  }));

const norms = (hidden: number, ...names: string[]) =>
  Object.fromEntries(['input_layernorm', 'post_attention_layernorm', ...names].map((name) => [name, hidden]));

/** Shapes of a decoder with the MLPs of some layers replaced. */
function shapesOf(
  settings: GroupedSettings,
  vectors: Record<string, number>,
  mlp: (path: string, layer: number) => Shapes | null,
): Shapes {
  const numbers = settings as unknown as Record<string, number>;
  const shapes = decoderShapes(numbers, vectors, settings.tie_word_embeddings);
  for (let layer = 0; layer < settings.num_hidden_layers; layer++) {
    const path = `model.layers.${layer}`;
    const other = mlp(path, layer);
    if (!other) continue;
    for (const which of ['gate', 'up', 'down']) delete shapes[`${path}.mlp.${which}_proj.weight`];
    Object.assign(shapes, other);
  }
  return shapes;
}

function biases(settings: GroupedSettings): Shapes {
  const { hidden_size, num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: size } = settings;
  const widths = { q_proj: heads * size, k_proj: kvHeads * size, v_proj: kvHeads * size, o_proj: hidden_size };
  const shapes: Shapes = {};
  for (let layer = 0; layer < settings.num_hidden_layers; layer++) {
    for (const [name, width] of Object.entries(widths)) {
      shapes[`model.layers.${layer}.self_attn.${name}.bias`] = [width];
    }
  }
  return shapes;
}

const expertShapes = (
  gate: string,
  path: string,
  experts: number,
  hidden: number,
  inner: number,
  names: string[],
): Shapes => ({
  [`${gate}.weight`]: [experts, hidden],
  ...Object.fromEntries(
    Array.from({ length: experts }, (_, expert) =>
      names.map((name, which) => [`${path}.${expert}.${name}.weight`, which < 2 ? [inner, hidden] : [hidden, inner]]),
    ).flat(),
  ),
});

family('mixtral', {
  settings: fc
    .tuple(
      grouped,
      fc.record({
        num_local_experts: fc.constantFrom(3, 4),
        num_experts_per_tok: fc.constantFrom(1, 2, 3),
        sliding_window: fc.constantFrom(null, 5),
      }),
    )
    .map(([settings, more]) => ({ ...settings, ...more })),
  shapes: (settings) =>
    shapesOf(settings, norms(settings.hidden_size), (path) => {
      const block = `${path}.block_sparse_moe`;
      const { num_local_experts: experts, hidden_size: hidden, intermediate_size: inner } = settings;
      return expertShapes(`${block}.gate`, `${block}.experts`, experts, hidden, inner, ['w1', 'w3', 'w2']);
    }),
  config: (settings) => sized('mixtral', settings),
  compute: mixtral,
  runs: 5,
});

family('qwen3_moe', {
  settings: fc
    .tuple(
      grouped,
      fc.record({
        moe_intermediate_size: fc.constantFrom(8, 20),
        num_experts: fc.constantFrom(0, 4, 5),
        num_experts_per_tok: fc.constantFrom(1, 2),
        norm_topk_prob: fc.boolean(),
        decoder_sparse_step: fc.constantFrom(1, 1, 2),
        mlp_only_layers: fc.constantFrom<number[]>([], [1]),
        attention_bias: fc.boolean(),
        use_sliding_window: fc.boolean(),
        sliding_window: fc.constant(6),
      }),
    )
    .map(([settings, more]) => ({ ...settings, ...more })),
  shapes: (settings) => {
    const { head_dim: size, num_experts: experts, hidden_size: hidden, moe_intermediate_size: inner } = settings;
    const vectors = { ...norms(hidden), 'self_attn.q_norm': size, 'self_attn.k_norm': size };
    const names = ['gate_proj', 'up_proj', 'down_proj'];
    return {
      ...shapesOf(settings, vectors, (path, layer) =>
        hasExperts(settings, layer)
          ? expertShapes(`${path}.mlp.gate`, `${path}.mlp.experts`, experts, hidden, inner, names)
          : null,
      ),
      ...(settings.attention_bias ? biases(settings) : {}),
    };
  },
  config: (settings) => sized('qwen3_moe', settings),
  compute: qwen3Moe,
  runs: 6,
});

family('phi3', {
  settings: fc
    .tuple(
      grouped,
      fc.record({
        partial_rotary_factor: fc.constantFrom(1, 0.75, 0.5),
        sliding_window: fc.constantFrom(null, 5),
        max_position_embeddings: fc.constantFrom(64, 256),
        stretched: fc.boolean(),
      }),
    )
    .map(([settings, { stretched, ...more }]) => {
      const rotated = Math.floor(settings.head_dim * more.partial_rotary_factor);
      const factors = (step: number) => Array.from({ length: rotated / 2 }, (_, i) => 1 + step * i);
      const longrope = {
        short_factor: factors(0.125),
        long_factor: factors(2),
        original_max_position_embeddings: 64,
      };
      return { ...settings, ...more, longrope: stretched ? longrope : null };
    }),
  shapes: (settings) => {
    const shapes = shapesOf(settings, norms(settings.hidden_size), () => null);
    const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: size, hidden_size: hidden } = settings;
    for (let layer = 0; layer < settings.num_hidden_layers; layer++) {
      const path = `model.layers.${layer}`;
      for (const which of ['q', 'k', 'v']) delete shapes[`${path}.self_attn.${which}_proj.weight`];
      for (const which of ['gate', 'up']) delete shapes[`${path}.mlp.${which}_proj.weight`];
      shapes[`${path}.self_attn.qkv_proj.weight`] = [(heads + 2 * kvHeads) * size, hidden];
      shapes[`${path}.mlp.gate_up_proj.weight`] = [2 * settings.intermediate_size, hidden];
    }
    return shapes;
  },
  // transformers reads this family's original length beside the rope alone
  config: (settings) => ({
    ...plainly('phi3', settings),
    ...(settings.longrope ? { original_max_position_embeddings: 64 } : {}),
  }),
  compute: phi3,
  requests: [{ contextLength: 64 }],
  runs: 6,
});

family('gemma2', {
  settings: fc
    .tuple(
      grouped,
      fc.record({
        query_pre_attn_scalar: fc.constantFrom(12, 144),
        attn_logit_softcapping: fc.constantFrom(null, 2, 50),
        final_logit_softcapping: fc.constantFrom(null, 2, 30),
        sliding_window: fc.constantFrom(4, 7),
        attention_bias: fc.boolean(),
      }),
    )
    .map(([settings, more]) => ({ ...settings, ...more, tie_word_embeddings: true })),
  shapes: (settings) => ({
    ...shapesOf(
      settings,
      norms(settings.hidden_size, 'pre_feedforward_layernorm', 'post_feedforward_layernorm'),
      () => null,
    ),
    ...(settings.attention_bias ? biases(settings) : {}),
  }),
  config: (settings) => sized('gemma2', settings),
  compute: gemma2,
  gain: 0,
  runs: 5,
});

test.after(() => work.remove());
test.run();
