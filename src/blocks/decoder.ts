import type { DecoderConfig } from '../core/architecture.js';
import type { Graph } from '../core/graph.js';
import type { WeightSource } from '../core/weights.js';
import { GraphBuilder, type Value } from '../graph/builder.js';
import { type NormForm, norm } from './norm.js';

/** A linear layer, Hugging Face names `<path>.weight` [outputs, inputs] and `<path>.bias`. */
export function linear(
  g: GraphBuilder,
  x: Value,
  segment: string,
  path: string,
  outputs: number,
  bias: boolean,
): Value {
  const weight = g.weight(`${path}.weight`, [outputs, x.shape.at(-1) as number]);
  return g.node(
    'Linear',
    segment,
    [x, weight, bias ? g.weight(`${path}.bias`, [outputs], 'float') : undefined],
    {},
    outputs,
  );
}

/** Names of the ends of a decoder, the same in every family of transformers. */
export const ENDS = {
  embedding: 'model.embed_tokens.weight',
  norm: 'model.norm',
  head: 'lm_head.weight',
  headBias: 'lm_head.bias',
};

/** The LM head as a weight: its own tensor, or the embedding table where the two are tied. */
export function headSource(config: DecoderConfig): Record<string, WeightSource> {
  return { [ENDS.head]: config.tie_word_embeddings ? { tied: ENDS.embedding } : ENDS.head };
}

/** What a family adds around its layers. */
export interface DecoderDrawing {
  /** Epsilon of the final norm, or its form where it is a LayerNorm. */
  norm_eps: NormForm;
  /** Name of the final norm where it is not transformers' usual one. */
  norm?: string;
  /** Whether the head has a bias. */
  headBias?: boolean;
  /** Factor on the embeddings (gemma, granite). */
  embeddingScale?: number | undefined;
  /** Factor on the logits (granite). */
  logitsScale?: number | undefined;
  /** Soft cap on the logits (gemma2). */
  logitsSoftcap?: number | undefined;
  /** Name of a further output: the hidden states after the final norm, for a graph that continues from them. */
  hiddenStatesOutput?: string | undefined;
  layer: (g: GraphBuilder, x: Value, index: number) => Value;
}

/**
 * The frame of a decoder: embedding, layers, final norm, head. input_ids int64 [batch_size, sequence_length] to
 * logits float [batch_size, sequence_length, vocab_size]. Marks hidden states as transformers does.
 */
export function drawDecoder(
  config: DecoderConfig,
  weights: Record<string, WeightSource>,
  drawing: DecoderDrawing,
): Graph {
  const g = new GraphBuilder('decoder', weights);
  const { vocab_size: vocabulary, hidden_size: hidden } = config;
  const ids = g.input('input_ids', 'INT64', ['batch_size', 'sequence_length']);
  let x = g.scope('model', () => {
    const table = g.weight(ENDS.embedding, [vocabulary, hidden], 'embedding');
    let embedded = g.node('Embedding', 'embed_tokens/Gather', [ids, table], {}, hidden);
    if (drawing.embeddingScale !== undefined) {
      embedded = g.node('Scale', 'embed_tokens/Mul', [embedded], { factor: { float: drawing.embeddingScale } }, hidden);
    }
    return g.hidden(embedded);
  });
  for (let index = 0; index < config.num_hidden_layers; index++) {
    x = g.scope('model', () => g.scope(`layers.${index}`, () => drawing.layer(g, x, index)));
    if (index < config.num_hidden_layers - 1) g.hidden(x);
  }
  const last = `layers.${config.num_hidden_layers}`;
  x = g.hidden(
    g.scope('model', () =>
      g.scope(last, () => norm(g, x, 'final_norm_layernorm/LayerNorm', drawing.norm ?? ENDS.norm, drawing.norm_eps)),
    ),
  );
  const head = g.weight(ENDS.head, [vocabulary, hidden], 'lm_head');
  const headBias = drawing.headBias ? g.weight(ENDS.headBias, [vocabulary], 'float') : undefined;
  let logits = g.node('Linear', 'lm_head/MatMul', [x, head, headBias], {}, vocabulary);
  if (drawing.logitsScale !== undefined) {
    logits = g.node('Scale', 'lm_head/Mul', [logits], { factor: { float: drawing.logitsScale } }, vocabulary);
  }
  if (drawing.logitsSoftcap !== undefined) {
    logits = g.node('Softcap', 'lm_head/Softcap', [logits], { cap: { float: drawing.logitsSoftcap } }, vocabulary);
  }
  g.output('logits', logits);
  if (drawing.hiddenStatesOutput !== undefined) g.output(drawing.hiddenStatesOutput, x);
  return g.finish();
}

/** Adds a sublayer's result to the residual stream. */
export function residual(g: GraphBuilder, x: Value, y: Value, segment: string): Value {
  return g.node('Add', segment, [x, y], {}, x.shape.at(-1)!);
}

/** Weights `<path>.weight` (and `.bias`) that a family reads from the checkpoint under their own names. */
export function stored(names: string[]): Record<string, WeightSource> {
  return Object.fromEntries(names.map((name) => [name, name]));
}

/** Where transformers keeps a layer's weights. */
export const layerPath = (index: number) => `model.layers.${index}`;

/**
 * The weights of a decoder under the checkpoint's own names: those that `layer` lists for each layer, and the ends, of
 * which `ends` names those beside the embedding table and the head.
 */
export function decoderWeights(
  config: DecoderConfig,
  layer: (index: number) => string[],
  ends: string[] = [`${ENDS.norm}.weight`],
): Record<string, WeightSource> {
  const layers = Array.from({ length: config.num_hidden_layers }, (_, index) => layer(index));
  return { ...stored([ENDS.embedding, ...layers.flat(), ...ends]), ...headSource(config) };
}

/** The parts of one stored matrix, named as other families store them: one below the other, `heights` rows each. */
export function rowsOf(name: string, heights: Record<string, number>): Record<string, WeightSource> {
  const parts: Record<string, WeightSource> = {};
  let from = 0;
  for (const [part, height] of Object.entries(heights)) {
    parts[part] = { rows: name, from, to: from + height };
    from += height;
  }
  return parts;
}
