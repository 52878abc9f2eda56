import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { writeRandomCheckpoint } from '../architectures/independent/checkpoint.js';
import { dequantized, fixturePath, openForReference, workFolder } from '../architectures/packages.js';
import { largestDifference } from '../runtime/expectations.js';

const TOLERANCE = 2e-4;
/** Float32 noise in the scores of experts is some 1e-6: a decision with less room may fall either way. */
const NEAR_TIE = 1e-5;
const work = workFolder();

/** A checkpoint whose experts' sizes are multiples of 32, 64 and 128: hidden 128, experts of 256. */
const divisible = work.path('divisible');
const sizes = { hidden: 128, inner: 256, vocabulary: 96, experts: 4 };
{
  const { hidden, inner, vocabulary, experts } = sizes;
  const shapes: Record<string, number[]> = { 'model.embed_tokens.weight': [vocabulary, hidden] };
  for (const layer of [0, 1]) {
    const path = `model.layers.${layer}`;
    for (const which of ['q', 'o']) shapes[`${path}.self_attn.${which}_proj.weight`] = [hidden, hidden];
    for (const which of ['k', 'v']) shapes[`${path}.self_attn.${which}_proj.weight`] = [hidden / 2, hidden];
    shapes[`${path}.block_sparse_moe.gate.weight`] = [experts, hidden];
    for (let expert = 0; expert < experts; expert++) {
      const of = `${path}.block_sparse_moe.experts.${expert}`;
      Object.assign(shapes, { [`${of}.w1.weight`]: [inner, hidden], [`${of}.w3.weight`]: [inner, hidden] });
      shapes[`${of}.w2.weight`] = [hidden, inner];
    }
    for (const norm of ['input', 'post_attention']) shapes[`${path}.${norm}_layernorm.weight`] = [hidden];
  }
  Object.assign(shapes, { 'model.norm.weight': [hidden], 'lm_head.weight': [vocabulary, hidden] });
  const config = {
    model_type: 'mixtral',
    vocab_size: vocabulary,
    hidden_size: hidden,
    intermediate_size: inner,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    num_local_experts: experts,
    num_experts_per_tok: 2,
    max_position_embeddings: 64,
  };
  writeRandomCheckpoint(divisible, config, shapes, 1);
}

/**
 * Converts, runs the package at float precision and compares it with the reference engine on the weights that the codes
 * stand for. Returns the graph's operators and notes.
 */
async function compare(checkpoint: string, request: ConvertRequest) {
  const { dir, plan } = await work.convert(checkpoint, { accuracyLevel: 1, ...request });
  const lowered = plan.graphs[0].graph;
  const { graphs, run, model } = await openForReference(checkpoint);
  const ids = [11, 5].map((first) => Array.from({ length: 20 }, (_, i) => (i * 37 + first) % model.config.vocab_size));
  const margins: number[] = [];
  const options = { onRoutingMargin: ({ margin }: { margin: number }) => void margins.push(margin) };
  const { logits } = await run(graphs.decoder, ids, options, dequantized(graphs.decoder, lowered));
  const least = Math.min(...margins);
  assert.ok(least > NEAR_TIE, `a routing decision has a margin of ${least}: a near-tie, choose other ids`);
  const decoder = await openDecoder(dir, { threads: 1 });
  try {
    const off = largestDifference(await decoder.logitsOf(ids), logits);
    assert.ok(off <= TOLERANCE, `${JSON.stringify(request)}: ${off} off, least routing margin ${least}`);
  } finally {
    await decoder.close();
  }
  return { operators: lowered.nodes.map((node) => node.op), notes: lowered.notes ?? [] };
}

for (const weights of ['int8', 'int4']) {
  for (const fixture of ['mixtral', 'qwen3-moe', 'deepseek-v2-lite', 'deepseek-v3']) {
    test(`${fixture} ${weights}: QMoE with one scale a row is the model with these weights`, async () => {
      const { operators, notes } = await compare(fixturePath(fixture), { weights, experts: 'qmoe' });
      assert.ok(operators.includes('QMoE'));
      assert.match(notes.join(), /one scale a row \(groups of 32 do not divide \d+ columns\)/);
    });

    test(`${fixture} ${weights}: so are plain operators, which keep the groups`, async () => {
      const { operators, notes } = await compare(fixturePath(fixture), { weights });
      assert.not.ok(operators.includes('QMoE'));
      assert.match(notes.join(), /plain operators \(groups of 32 do not divide \d+ columns\)/);
    });
  }

  for (const groupSize of ['32', '64']) {
    for (const asymmetric of [false, true]) {
      const request = { weights, groupSize, asymmetric };
      test(`${Object.values(request)}: QMoE and plain operators with groups that divide the experts`, async () => {
        const { operators, notes } = await compare(divisible, request);
        assert.ok(operators.includes('QMoE'));
        assert.equal(notes, ['experts: QMoE']);
        const plain = await compare(divisible, { ...request, experts: 'plain' });
        assert.not.ok(plain.operators.includes('QMoE'));
        assert.equal(plain.notes, ['experts: plain operators (as asked)']);
      });
    }
  }
}

test('groups as long as a row: plain operators, or one scale a row', async () => {
  const { notes } = await compare(divisible, { weights: 'int4', groupSize: '128' });
  assert.equal(notes, ['experts: plain operators (QMoE has no rows of one group of 128)']);
  const asked = await compare(divisible, { weights: 'int4', groupSize: '128', experts: 'qmoe' });
  assert.ok(asked.operators.includes('QMoE'));
  assert.equal(asked.notes, ['experts: QMoE with one scale a row (QMoE has no rows of one group of 128)']);
});

test('int4 with float16 scales', async () => {
  const { operators } = await compare(divisible, { weights: 'int4', scales: 'f16' });
  assert.ok(operators.includes('QMoE'));
});

test('experts of several schemes stay plain', async () => {
  const { notes } = await compare(divisible, { weights: 'int4', override: ['*.w2.weight=int8'] });
  assert.equal(notes, ['experts: plain operators (mixed schemes)']);
});

test('float weights stay plain', async () => {
  const { notes } = await compare(divisible, { weights: 'f16' });
  assert.equal(notes, ['experts: plain operators (f16 weights)']);
});

test.after(() => work.remove());
test.run();
