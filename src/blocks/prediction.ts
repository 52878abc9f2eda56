import type { DecoderConfig } from '../core/architecture.js';
import type { Graph } from '../core/graph.js';
import type { WeightSource } from '../core/weights.js';
import { GraphBuilder, type Value } from '../graph/builder.js';
import { layerPath, linear } from './decoder.js';
import { rmsNorm } from './norm.js';

/** Name of the graph that predicts the token after the next one. */
export const PREDICTION_GRAPH = 'mtp';

/** Name of the decoder's output and of the prediction's input: hidden states after the final norm. */
export const HIDDEN_STATES = 'hidden_states';

/**
 * Multi-token prediction (DeepSeek-V3, section 2.2): layer `model.layers.{num_hidden_layers}` as a graph of its own.
 * Inputs: `input_ids` [batch_size, sequence_length], for position i the token at i + 1, and `hidden_states`
 * [batch_size, sequence_length, hidden_size], the decoder's after its final norm at i. Output: logits of the token at
 * i + 2. `layer` draws the decoder layer at that path with the graph's only cache.
 */
export function drawPrediction(
  config: DecoderConfig,
  weights: Record<string, WeightSource>,
  epsilon: number,
  layer: (g: GraphBuilder, x: Value, index: number) => Value,
): Graph {
  const g = new GraphBuilder(PREDICTION_GRAPH, weights);
  const { vocab_size: vocabulary, hidden_size: hidden, num_hidden_layers: index } = config;
  const path = layerPath(index);
  const ids = g.input('input_ids', 'INT64', ['batch_size', 'sequence_length']);
  const states = g.input(HIDDEN_STATES, 'FLOAT', ['batch_size', 'sequence_length', hidden]);
  const normed = g.scope('model', () =>
    g.scope(`layers.${index}`, () => {
      const table = g.weight(`${path}.embed_tokens.weight`, [vocabulary, hidden], 'embedding');
      const embedded = g.node('Embedding', 'embed_tokens/Gather', [ids, table], {}, hidden);
      const halves = [
        rmsNorm(g, embedded, 'enorm/LayerNorm', `${path}.enorm`, epsilon),
        rmsNorm(g, states, 'hnorm/LayerNorm', `${path}.hnorm`, epsilon),
      ];
      const joined = g.node('Concat', 'eh_proj/Concat', halves, {}, 2 * hidden);
      const x = linear(g, joined, 'eh_proj/MatMul', `${path}.eh_proj`, hidden, false);
      return rmsNorm(g, layer(g, x, index), 'shared_head/LayerNorm', `${path}.shared_head.norm`, epsilon);
    }),
  );
  const head = g.weight(`${path}.shared_head.head.weight`, [vocabulary, hidden], 'lm_head');
  g.output('logits', g.node('Linear', 'lm_head/MatMul', [normed, head], {}, vocabulary));
  return g.finish();
}

/** Names of the weights that `drawPrediction` draws itself. */
export function predictionWeights(config: DecoderConfig): string[] {
  return ['embed_tokens', 'enorm', 'hnorm', 'eh_proj', 'shared_head.norm', 'shared_head.head'].map(
    (each) => `${layerPath(config.num_hidden_layers)}.${each}.weight`,
  );
}
