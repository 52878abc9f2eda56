import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import { largestDifference } from '../runtime/expectations.js';
import { decoderShapes, type Tensors, writeRandomCheckpoint } from './independent/checkpoint.js';
import type { Matrix } from './independent/float64.js';
import { gemma3Text } from './independent/gemma3_text.js';
import { granite } from './independent/granite.js';
import { smollm3 } from './independent/smollm3.js';
import { openForReference, workFolder } from './packages.js';

/** Float32 against float64 stays below 5e-5 in the fixtures' goldens; a wrong switch moves logits by 1e-3 and more. */
const TOLERANCE = 2e-4;
const work = workFolder();

interface Family {
  config: Record<string, number>;
  /** What config.json says beside the numbers. */
  form: Record<string, unknown>;
  norms: (config: Record<string, number>) => Record<string, number>;
  tied: boolean;
  /** Around what the gains of norms lie in the checkpoint. */
  gain: number;
  compute: (config: Record<string, number>, tensors: Tensors, ids: number[]) => Matrix;
}

const sizes = {
  vocab_size: 101,
  hidden_size: 64,
  intermediate_size: 88,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
};
const twoNorms = ({ hidden_size }: Record<string, number>) => ({
  input_layernorm: hidden_size,
  post_attention_layernorm: hidden_size,
});

const families: Record<string, Family> = {
  granite: {
    config: {
      ...sizes,
      num_hidden_layers: 3,
      rope_theta: 10000,
      embedding_multiplier: 12,
      attention_multiplier: 0.078125,
      residual_multiplier: 0.22,
      logits_scaling: 2,
    },
    form: { model_type: 'granite', tie_word_embeddings: false, hidden_act: 'silu', rope_scaling: null },
    norms: twoNorms,
    tied: false,
    gain: 1,
    compute: granite,
  },
  smollm3: {
    config: { ...sizes, num_hidden_layers: 4, rope_theta: 50000, no_rope_layer_interval: 2 },
    form: { model_type: 'smollm3', hidden_act: 'silu', use_sliding_window: false, sliding_window: null },
    norms: twoNorms,
    tied: true,
    gain: 1,
    compute: smollm3,
  },
  gemma3_text: {
    config: {
      ...sizes,
      head_dim: 32,
      num_hidden_layers: 4,
      rope_theta: 1000000,
      rope_local_base_freq: 10000,
      rope_factor: 8,
      query_pre_attn_scalar: 24,
      sliding_window: 6,
      sliding_window_pattern: 3,
    },
    form: { model_type: 'gemma3_text', rope_scaling: { rope_type: 'linear', factor: 8 } },
    norms: ({ hidden_size, head_dim }) => ({
      ...twoNorms({ hidden_size }),
      pre_feedforward_layernorm: hidden_size,
      post_feedforward_layernorm: hidden_size,
      'self_attn.q_norm': head_dim,
      'self_attn.k_norm': head_dim,
    }),
    tied: true,
    gain: 0,
    compute: gemma3Text,
  },
};

for (const [name, { config, form, norms, tied, gain, compute }] of Object.entries(families)) {
  const checkpoint = work.path(name);
  const tensors = writeRandomCheckpoint(
    checkpoint,
    { ...config, ...form },
    decoderShapes(config, norms(config), tied),
    gain,
  );
  const ids = [0, 1].map((row) => Array.from({ length: 24 }, (_, i) => (i * (37 + row) + 11 * row + 3) % 101));
  const expected = Float32Array.from(ids.flatMap((row) => compute(config, tensors, row).flat()));

  test(`${name}: the reference engine agrees with an independent computation in float64`, async () => {
    const spread = Math.max(...expected) - Math.min(...expected);
    assert.ok(spread > 1, `logits within ${spread} tell nothing`);
    const { graphs, run } = await openForReference(checkpoint);
    const off = largestDifference((await run(graphs.decoder, ids)).logits, expected);
    assert.ok(off <= TOLERANCE, `${off} off`);
  });

  test(`${name}: so does a package, in prefill and in decode`, async () => {
    const { dir } = await work.convert(checkpoint, { weights: 'f32' });
    const decoder = await openDecoder(dir, { threads: 1 });
    try {
      const off = largestDifference(await decoder.logitsOf(ids), expected);
      assert.ok(off <= TOLERANCE, `${off} off`);
      const steps = await decoder.start(4).append(ids[0], { chunk: 1 });
      const apart = largestDifference(steps, expected.subarray(0, steps.length));
      assert.ok(apart <= TOLERANCE, `decode is ${apart} off`);
    } finally {
      await decoder.close();
    }
  });
}

test.after(() => work.remove());
test.run();
