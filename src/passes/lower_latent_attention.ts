import type { Graph, GraphNode, Pass } from '../core/graph.js';
import { pass } from '../graph/pass.js';
import { float, GraphDraft, integer, producers, Replacement, readers } from '../graph/rewrite.js';
import { attentionBias } from './attention_bias.js';
import { derivedWeight, unpackedWeight } from './derived_weight.js';
import { cacheNames } from './fuse_gqa.js';
import { floatWeight } from './weight_initializers.js';

/** What both forms need of a LatentAttention: its sizes, and its queries before their rotation, [.., heads * (nope + rope)]. */
interface Latent {
  node: GraphNode;
  rotation: GraphNode;
  layer: number;
  heads: number;
  nope: number;
  rope: number;
  valueDim: number;
  latent: number;
  bias: string;
}

/** The rows of kv_b_proj that make keys, or values, of every head: a weight [heads * size, latent] of its own. */
function halfOf(into: Replacement, of: Latent, which: 'k' | 'v'): string {
  const name = of.node.inputs[3];
  const { heads, nope, valueDim, latent } = of;
  const [from, to] = which === 'k' ? [0, nope] : [nope, nope + valueDim];
  const source = { rows: name, from, to, stride: nope + valueDim, count: heads };
  return derivedWeight(into, name, name.replace(/weight$/, `${which}.weight`), source, [heads * (to - from), latent]);
}

/** Shorthand for the operators of one lowered node, named after it. */
function steps(into: Replacement, name: string) {
  const ints = (...values: number[]) => into.graph.constant('INT64', values);
  const step = (op: string, segment: string, inputs: string[], attributes = {}, output?: string) =>
    into.onnx(op, `${name}/${segment}`, inputs, attributes, output);
  return {
    step,
    reshape: (value: string, segment: string, shape: number[], output?: string) =>
      step('Reshape', `${segment}/Reshape`, [value, ints(...shape)], {}, output),
    slice: (value: string, segment: string, from: number, to: number) =>
      step('Slice', `${segment}/Slice`, [value, ints(from), ints(to), ints(-1)]),
    /** A value with columns of zeros behind its own. */
    widen: (value: string, segment: string, columns: number) =>
      columns === 0 ? value : step('Pad', `${segment}/Pad`, [value, ints(0, columns), '', ints(-1)]),
    transpose: (value: string, segment: string) =>
      step('Transpose', `${segment}/Transpose`, [value], { perm: [0, 2, 1, 3] }),
    concat: (values: string[], segment: string, axis: number, output?: string) =>
      step('Concat', `${segment}/Concat`, values, { axis }, output),
  };
}

/** The two parts of the queries, [batch_size, heads, sequence_length, size] each, the second one rotated. */
function queryParts(into: Replacement, of: Latent): { nopePart: string; rotated: string } {
  const { rotation, heads, nope, rope } = of;
  const { reshape, slice, transpose } = steps(into, of.node.name);
  const q = transpose(reshape(rotation.inputs[0], 'q', [0, -1, heads, nope + rope]), 'q');
  const positions = into.graph.input('position_ids', 'INT64', ['batch_size', 'sequence_length']);
  const tables = rotation.inputs.slice(1).map((table) => floatWeight(into, table));
  const rotated = into.contrib(
    'RotaryEmbedding',
    rotation.name,
    [slice(q, 'q_rope', nope, nope + rope), positions, ...tables],
    { interleaved: integer(rotation, 'interleaved') },
  );
  return { nopePart: slice(q, 'q_nope', 0, nope), rotated };
}

/**
 * The cache of [c, k_rope], [batch_size, 1, total_sequence_length, 2 * half], with `current` behind its past. Between
 * calls it is two halves of its width, as ONNX Runtime GenAI feeds a key and a value of one shape for each layer
 * (src/models/kv_cache.cpp).
 */
function latentCache(into: Replacement, of: Latent, current: string, half: number): string {
  const { slice, concat } = steps(into, of.node.name);
  const names = cacheNames(of.layer);
  const present = (['Key', 'Value'] as const).map((which, i) => {
    const part = slice(current, `${which.toLowerCase()}_half`, i * half, (i + 1) * half);
    const shape = (length: string) => ['batch_size', 1, length, half];
    into.graph.input(names[`past${which}`], 'FLOAT', shape('past_sequence_length'));
    into.graph.output(names[`present${which}`], 'FLOAT', shape('total_sequence_length'));
    return concat([names[`past${which}`], part], `${which.toLowerCase()}_cache`, 2, names[`present${which}`]);
  });
  return concat(present, 'cache', -1);
}

/**
 * Weight absorption (DeepSeek-V2, appendix C): queries go through kv_b_k^T into the latent space, where [c, k_rope] is
 * key and value of all heads, and what they attend to goes through kv_b_v. All heads' queries are rows of one product
 * with the cache, which is read once: 1.1 to 3 times as fast as
 * GroupQueryAttention with one key head, which moreover returns wrong values for a past without `present_value`.
 */
function latentForm(into: Replacement, of: Latent): void {
  const { node, heads, nope, rope, valueDim, latent } = of;
  const { step, reshape, slice, transpose, concat, widen } = steps(into, node.name);
  const [, c, kRope] = node.inputs;
  // An odd width gets a column of zeros, which adds nothing to a score.
  const half = Math.ceil((latent + rope) / 2);
  const latentOf = (parts: string[], segment: string) =>
    widen(concat(parts, segment, -1), segment, 2 * half - latent - rope);

  const { nopePart, rotated } = queryParts(into, of);
  const raising = unpackedWeight(into, halfOf(into, of, 'k'), [heads, nope, latent]);
  const absorbed = step('MatMul', 'q_absorbed/MatMul', [nopePart, raising]);
  // rows are (head, position)
  const queries = reshape(latentOf([absorbed, rotated], 'q_latent'), 'q_latent', [0, 1, -1, 2 * half]);

  const current = reshape(latentOf([c, kRope], 'k_latent'), 'k_latent', [0, 1, -1, 2 * half]);
  const keys = latentCache(into, of, current, half);
  const scores = into.contrib('FusedMatMul', `${node.name}/scores/MatMul`, [queries, keys], {
    transB: 1,
    alpha: { float: float(node, 'scale') },
  });
  const masked = step('Add', 'scores/Add', [reshape(scores, 'scores', [0, heads, -1, 0]), of.bias]);
  const shares = reshape(step('Softmax', 'Softmax', [masked], { axis: -1 }), 'shares', [0, 1, -1, 0]);
  const attended = slice(step('MatMul', 'attended/MatMul', [shares, keys]), 'attended', 0, latent);
  const values = unpackedWeight(into, halfOf(into, of, 'v'), [heads, valueDim, latent]);
  const raised = into.contrib(
    'FusedMatMul',
    `${node.name}/values/MatMul`,
    [reshape(attended, 'attended', [0, heads, -1, latent]), values],
    { transB: 1 },
  );
  reshape(transpose(raised, 'values'), 'values', [0, -1, heads * valueDim], node.outputs[0]);
}

/**
 * Keys and values of each head from c, as in the drawing; the cache holds them, [batch_size, heads, length, size], with
 * zeros behind the narrower ones, so that both have one shape.
 */
function expandedForm(into: Replacement, of: Latent): void {
  const { node, heads, nope, rope, valueDim } = of;
  const { step, reshape, slice, transpose, concat, widen } = steps(into, node.name);
  const [, c, kRope] = node.inputs;
  const headDim = nope + rope;
  const raised = (which: 'k' | 'v', size: number): string => {
    const name = `${node.name.replace(/\/[^/]*$/, '')}/kv_b_proj.${which}/MatMul`;
    const outputs = [`${name}/output_0`];
    const inputs = [c, halfOf(into, of, which)];
    into.push({ name, op: 'Linear', domain: 'halfbyte', inputs, outputs, attributes: {} });
    return transpose(reshape(outputs[0], which, [0, -1, heads, size]), which);
  };
  const width = Math.max(headDim, valueDim);
  const cached = (current: string, past: string, present: string, size: number, segment: string) => {
    const cache = (length: string) => ['batch_size', heads, length, width];
    into.graph.input(past, 'FLOAT', cache('past_sequence_length'));
    concat([past, widen(current, segment, width - size)], segment, 2, present);
    into.graph.output(present, 'FLOAT', cache('total_sequence_length'));
    return present;
  };

  const { nopePart, rotated } = queryParts(into, of);
  const queries = widen(concat([nopePart, rotated], 'q_heads', -1), 'q_heads', width - headDim);
  const everyHead = step('Tile', 'k_rope/Tile', [
    reshape(kRope, 'k_rope', [0, 1, -1, rope]),
    into.graph.constant('INT64', [1, heads, 1, 1]),
  ]);
  const names = cacheNames(of.layer);
  const current = concat([raised('k', nope), everyHead], 'k_heads', -1);
  const keys = cached(current, names.pastKey, names.presentKey, headDim, 'key_cache');
  const values = cached(raised('v', valueDim), names.pastValue, names.presentValue, valueDim, 'value_cache');
  const scores = into.contrib('FusedMatMul', `${node.name}/scores/MatMul`, [queries, keys], {
    transB: 1,
    alpha: { float: float(node, 'scale') },
  });
  const shares = step('Softmax', 'Softmax', [step('Add', 'scores/Add', [scores, of.bias])], { axis: -1 });
  const widest = step('MatMul', 'attended/MatMul', [shares, values]);
  const attended = transpose(valueDim === width ? widest : slice(widest, 'attended', 0, valueDim), 'attended');
  reshape(attended, 'attended', [0, -1, heads * valueDim], node.outputs[0]);
}

/** The Rotary that makes the queries of a LatentAttention: the end of each head, read by nobody else. */
function queryRotation(node: GraphNode, made: Map<string, GraphNode>, readBy: Map<string, GraphNode[]>): GraphNode {
  const rotation = made.get(node.inputs[0]);
  const ownsIt = rotation?.op === 'Rotary' && readBy.get(node.inputs[0])?.length === 1;
  if (!ownsIt || integer(rotation, 'offset') !== integer(node, 'nope')) {
    throw new Error(`${node.name}: queries must come from a rotation of each head's end`);
  }
  return rotation;
}

const LATENT = {
  name: 'lower_latent_attention',
  removes: ['halfbyte.LatentAttention'],
  leaves: [
    'halfbyte.Linear',
    'com.microsoft.FusedMatMul',
    'com.microsoft.RotaryEmbedding',
    'Add',
    'And',
    'BitShift',
    'BitwiseAnd',
    'Cast',
    'Concat',
    'Gather',
    'LessOrEqual',
    'MatMul',
    'Pad',
    'Mul',
    'Range',
    'Reshape',
    'Shape',
    'Slice',
    'Softmax',
    'Sub',
    'Tile',
    'Transpose',
    'Unsqueeze',
    'Where',
  ],
};

/**
 * LatentAttention -> plain operators on a cache of [c, k_rope] (`latent`), or on one of each head's keys and values
 * (`expanded`). Takes in the rotation of the queries, which starts inside of each head.
 */
export function lowerLatentAttention(form: 'latent' | 'expanded'): Pass {
  return pass(LATENT, (graph: Graph) => {
    const isLatent = (node: GraphNode) => node.op === 'LatentAttention' && node.domain === 'halfbyte';
    if (!graph.nodes.some(isLatent)) return graph;
    const draft = new GraphDraft(graph);
    const [made, readBy] = [producers(graph), readers(graph)];
    const prelude: GraphNode[] = [];
    const bias = attentionBias(draft, prelude);
    const taken = new Set<GraphNode>();
    const nodes = graph.nodes.flatMap((node) => {
      if (!isLatent(node)) return [node];
      const rotation = queryRotation(node, made, readBy);
      taken.add(rotation);
      const into = new Replacement(draft, node);
      const latent: Latent = {
        node,
        rotation,
        layer: integer(node, 'layer'),
        heads: integer(node, 'heads'),
        nope: integer(node, 'nope'),
        rope: integer(node, 'rope'),
        valueDim: integer(node, 'v_head_dim'),
        latent: integer(node, 'kv_lora'),
        bias,
      };
      if (form === 'latent') latentForm(into, latent);
      else expandedForm(into, latent);
      return into.nodes;
    });
    draft.graph.nodes = [...prelude, ...nodes.filter((node) => !taken.has(node))];
    return draft.finish();
  });
}
