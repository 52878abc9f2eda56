import type { DecoderConfig } from '../core/architecture.js';
import type { Graph } from '../core/graph.js';
import type { WeightSource } from '../core/weights.js';
import { GraphBuilder, type Value } from '../graph/builder.js';

/** Root-mean-square norm with a learned gain, Hugging Face name `<path>.weight`. */
export function rmsNorm(
  g: GraphBuilder,
  x: Value,
  segment: string,
  path: string,
  epsilon: number,
  size?: number,
): Value {
  const width = x.shape.at(-1) as number;
  const gamma = g.weight(`${path}.weight`, [size ?? width], 'float');
  return g.node('RmsNorm', segment, [x, gamma], { epsilon: { float: epsilon } }, width);
}

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
export const ENDS = { embedding: 'model.embed_tokens.weight', norm: 'model.norm', head: 'lm_head.weight' };

/** The LM head as a weight: its own tensor, or the embedding table where the two are tied. */
export function headSource(config: DecoderConfig): Record<string, WeightSource> {
  return { [ENDS.head]: config.tie_word_embeddings ? { tied: ENDS.embedding } : ENDS.head };
}

/** What a family adds around its layers. */
export interface DecoderDrawing {
  norm_eps: number;
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
      g.scope(last, () => rmsNorm(g, x, 'final_norm_layernorm/LayerNorm', ENDS.norm, drawing.norm_eps)),
    ),
  );
  const head = g.weight(ENDS.head, [vocabulary, hidden], 'lm_head');
  let logits = g.node('Linear', 'lm_head/MatMul', [x, head], {}, vocabulary);
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
 * A pre-norm layer: x + attend(norm(x)), then y + feedForward(norm(y)). `factor` multiplies what is added (granite).
 * Both norms carry transformers' names.
 */
export function preNormLayer(
  g: GraphBuilder,
  x: Value,
  index: number,
  epsilon: number,
  attend: (x: Value) => Value,
  feedForward: (x: Value) => Value,
  factor?: number,
): Value {
  const norm = (value: Value, which: string) =>
    rmsNorm(g, value, `${which}/LayerNorm`, `${layerPath(index)}.${which}`, epsilon);
  const scaled = (value: Value, segment: string) =>
    factor === undefined
      ? value
      : g.node('Scale', segment, [value], { factor: { float: factor } }, value.shape.at(-1)!);
  const middle = residual(g, x, scaled(attend(norm(x, 'input_layernorm')), 'attn/Mul'), 'attn/Add');
  const added = scaled(feedForward(norm(middle, 'post_attention_layernorm')), 'mlp/Scale');
  return residual(g, middle, added, 'mlp/Add');
}

/**
 * A layer with norms on both sides: x + norm(attend(norm(x))), then y + norm(feedForward(norm(y))). The four norms
 * carry transformers' names.
 */
export function sandwichNormLayer(
  g: GraphBuilder,
  x: Value,
  index: number,
  epsilon: number,
  attend: (x: Value) => Value,
  feedForward: (x: Value) => Value,
): Value {
  const norm = (value: Value, which: string) =>
    rmsNorm(g, value, `${which}/LayerNorm`, `${layerPath(index)}.${which}`, epsilon);
  const attended = norm(attend(norm(x, 'input_layernorm')), 'post_attention_layernorm');
  const middle = residual(g, x, attended, 'attn/Add');
  const fed = norm(feedForward(norm(middle, 'pre_feedforward_layernorm')), 'post_feedforward_layernorm');
  return residual(g, middle, fed, 'mlp/Add');
}

/** Names of the weights that `sandwichNormLayer` draws itself. */
export function sandwichNormWeights(index: number): string[] {
  return ['input_layernorm', 'post_attention_layernorm', 'pre_feedforward_layernorm', 'post_feedforward_layernorm'].map(
    (which) => `${layerPath(index)}.${which}.weight`,
  );
}

/** Gains that are stored less one: x * (1 + weight). Takes the weights of a family and replaces those of its norms. */
export function onePlusNorms(weights: Record<string, WeightSource>): Record<string, WeightSource> {
  return Object.fromEntries(
    Object.entries(weights).map(([name, source]) => [
      name,
      name.endsWith('norm.weight') ? { plus: source, constant: 1 } : source,
    ]),
  );
}

/** Names of the weights that `preNormLayer` draws itself. */
export function preNormWeights(index: number): string[] {
  return ['input_layernorm', 'post_attention_layernorm'].map((which) => `${layerPath(index)}.${which}.weight`);
}

/** The weights of a decoder under the checkpoint's own names: ends, and those that `layer` lists for each layer. */
export function decoderWeights(
  config: DecoderConfig,
  layer: (index: number) => string[],
): Record<string, WeightSource> {
  const layers = Array.from({ length: config.num_hidden_layers }, (_, index) => layer(index));
  return { ...stored([ENDS.embedding, ...layers.flat(), `${ENDS.norm}.weight`]), ...headSource(config) };
}
