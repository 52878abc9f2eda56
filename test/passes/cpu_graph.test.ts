import { test } from 'uvu';
import * as assert from 'uvu/assert';
import llama from '../../src/architectures/llama.js';
import qwen2 from '../../src/architectures/qwen2.js';
import type { Architecture } from '../../src/core/architecture.js';
import type { Graph } from '../../src/core/graph.js';
import type { JsonObject } from '../../src/core/json.js';
import type { ConvertOptions } from '../../src/core/options.js';
import type { QuantizationArgs } from '../../src/core/scheme.js';
import { runPasses } from '../../src/graph/pass.js';
import { operatorCounts, printGraph } from '../../src/graph/print.js';
import { FLOAT32 } from '../../src/passes/assign_schemes.js';
import cpu from '../../src/targets/cpu.js';
import { matchSnapshot } from '../snapshot.js';

const int4: QuantizationArgs = { ...FLOAT32, scheme: 'int4', strategy: 'group', group_size: 32 };

function lower(architecture: Architecture<never>, json: JsonObject, scheme: QuantizationArgs): Graph {
  const config = (architecture as unknown as Architecture).parseConfig(json);
  const options: ConvertOptions = {
    target: 'cpu',
    weights: scheme,
    embeddings: scheme,
    lmHead: scheme,
    only: [],
    skip: [],
    overrides: [],
    accuracyLevel: 4,
    contextLength: 64,
    prefill: 64,
    activations: 'f32',
    attention: 'gqa',
    mla: 'latent',
    experts: 'qmoe',
  };
  const drawn = (architecture as unknown as Architecture).build(config, { contextLength: 64 });
  return runPasses(drawn, cpu.stages(options, 'decoder')[0].passes).graph;
}

const distill: JsonObject = {
  model_type: 'qwen2',
  vocab_size: 64,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
};

test('the int4 graph of a qwen2 model reads like this', () => {
  matchSnapshot('qwen2.int4.graph.txt', printGraph(lower(qwen2 as never, distill, int4)));
});

test('it has the operators of onnxruntime-genai builder output with q, k and v apart', () => {
  const layers = 2;
  const counts = operatorCounts(lower(qwen2 as never, distill, int4));
  // Counted on the builder's own graph; it reaches the tied table by Reshape and 3 Constants, here two tensors share the bytes.
  const builder = {
    Add: 3 * layers,
    Cast: 2,
    Gather: 1,
    GatherBlockQuantized: 1,
    GroupQueryAttention: layers,
    MatMulNBits: 7 * layers + 1,
    Mul: 2 * layers,
    ReduceSum: 1,
    Shape: 1,
    Sigmoid: layers,
    SimplifiedLayerNormalization: 1,
    SkipSimplifiedLayerNormalization: 2 * layers,
    Sub: 1,
  };
  // What the builder's graphs lack: places of sequences that are padded on their left.
  const alignment: Record<string, number> = {
    ...{ Add: 1, ArgMax: 1, Gather: 2, GatherElements: 1, GatherND: 1, Max: 1, Mod: 2, Range: 1, Shape: 2, Sub: 3 },
    Unsqueeze: 1,
  };
  const expected = { ...builder, ...alignment } as Record<string, number>;
  for (const op of Object.keys(alignment))
    expected[op] = alignment[op] + ((builder as Record<string, number>)[op] ?? 0);
  assert.equal(counts, expected);
});

test('inputs and outputs are those of the builder', () => {
  const graph = lower(qwen2 as never, distill, int4);
  const text = (values: Graph['inputs']) => values.map((each) => `${each.name} ${each.dtype} ${each.shape.join()}`);
  assert.equal(text(graph.inputs), [
    'input_ids INT64 batch_size,sequence_length',
    'attention_mask INT64 batch_size,total_sequence_length',
    'past_key_values.0.key FLOAT batch_size,2,past_sequence_length,16',
    'past_key_values.0.value FLOAT batch_size,2,past_sequence_length,16',
    'past_key_values.1.key FLOAT batch_size,2,past_sequence_length,16',
    'past_key_values.1.value FLOAT batch_size,2,past_sequence_length,16',
  ]);
  assert.equal(text(graph.outputs), [
    'logits FLOAT batch_size,sequence_length,64',
    'present.0.key FLOAT batch_size,2,total_sequence_length,16',
    'present.0.value FLOAT batch_size,2,total_sequence_length,16',
    'present.1.key FLOAT batch_size,2,total_sequence_length,16',
    'present.1.value FLOAT batch_size,2,total_sequence_length,16',
  ]);
});

test('head size 8 is rotated in the graph, by position_ids', () => {
  const graph = lower(llama as never, { ...distill, model_type: 'llama', head_dim: 8 }, int4);
  assert.is(operatorCounts(graph).RotaryEmbedding, 4);
  assert.ok(graph.inputs.some((each) => each.name === 'position_ids'));
  const attention = graph.nodes.find((node) => node.op === 'GroupQueryAttention');
  assert.is(attention?.attributes.do_rotary, 0);
});

test('a head size that no attention operator takes is padded, cache included', () => {
  const graph = lower(llama as never, { ...distill, model_type: 'llama', head_dim: 12 }, int4);
  const cache = graph.inputs.find((each) => each.name === 'past_key_values.0.key');
  assert.equal(cache?.shape, ['batch_size', 2, 'past_sequence_length', 16]);
  assert.is(operatorCounts(graph).Pad, 6);
});

test('every value is made once, before it is read, and every operator is one of the target', () => {
  for (const architecture of [llama, qwen2]) {
    const graph = lower(architecture as never, { ...distill, model_type: 'x' }, FLOAT32);
    const known = new Set([...graph.inputs, ...graph.initializers].map((each) => each.name));
    for (const node of graph.nodes) {
      for (const input of node.inputs.filter(Boolean)) assert.ok(known.has(input), `${node.name} reads ${input}`);
      for (const output of node.outputs.filter(Boolean)) {
        assert.not.ok(known.has(output), `${output} is made twice`);
        known.add(output);
      }
      const operator = node.domain ? `${node.domain}.${node.op}` : node.op;
      assert.ok(cpu.operators.has(operator), operator);
    }
    for (const output of graph.outputs) assert.ok(known.has(output.name), output.name);
  }
});

test.run();
