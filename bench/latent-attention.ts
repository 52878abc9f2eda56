/**
 * Attention over a latent cache [1, 1, length, 576] at DeepSeek-V2-Lite's sizes (16 heads) in the standard operators that
 * `--mla latent` draws, and as GroupQueryAttention with one key head, cache and key given as value too. Prints median
 * milliseconds a call and how far the two are apart:
 *
 *   node --import tsx bench/latent-attention.ts [--runs 30] [--heads 16] [--threads 1]
 */
import { parseArgs } from 'node:util';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Graph, GraphNode, Initializer } from '../src/core/graph.js';
import { encodeModel } from '../src/formats/onnx.js';
import { loadOnnxRuntime } from '../src/runtime/onnxruntime.js';
import { median } from './measure.js';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '30' },
    heads: { type: 'string', default: '16' },
    threads: { type: 'string', default: '1' },
  },
});
const [latent, rope] = [512, 64];
const width = latent + rope;
const heads = Number(values.heads);
const scale = { float: 192 ** -0.5 };
const ort = await loadOnnxRuntime();

const constant = (name: string, ints: number[]): Initializer => ({
  name,
  dtype: 'INT64',
  shape: [ints.length],
  content: { values: ints },
});

/** Inputs q [1, heads, S, width], current [1, 1, S, width], past [1, 1, P, width]; output [1, heads, S, latent]. */
function graphOf(
  nodes: GraphNode[],
  extra: Graph['inputs'],
  outputs: Graph['outputs'],
  initializers: Initializer[],
): Graph {
  return {
    name: 'attention',
    inputs: [
      { name: 'q', dtype: 'FLOAT', shape: [1, heads, 'S', width] },
      { name: 'current', dtype: 'FLOAT', shape: [1, 1, 'S', width] },
      { name: 'past', dtype: 'FLOAT', shape: [1, 1, 'P', width] },
      ...extra,
    ],
    outputs: [{ name: 'attended', dtype: 'FLOAT', shape: [1, heads, 'S', latent] }, ...outputs],
    nodes,
    initializers: [constant('from', [0]), constant('to', [latent]), constant('last', [-1]), ...initializers],
    weights: {},
    values: {},
    hiddenStates: [],
    opsets: { '': 21, 'com.microsoft': 1 },
  } as unknown as Graph;
}

const node = (
  op: string,
  inputs: string[],
  outputs: string[],
  attributes: GraphNode['attributes'] = {},
  domain: GraphNode['domain'] = '',
): GraphNode => ({ name: outputs[0], op, domain, inputs, outputs, attributes });
const present = (name: string) => ({ name, dtype: 'FLOAT' as const, shape: [1, 1, 'T', width] });

const standard = graphOf(
  [
    node('Reshape', ['q', 'rows_shape'], ['rows']),
    node('Concat', ['past', 'current'], ['present'], { axis: 2 }),
    node('FusedMatMul', ['rows', 'present'], ['products'], { transB: 1, alpha: scale }, 'com.microsoft'),
    node('Reshape', ['products', 'heads_shape'], ['scores']),
    node('Add', ['scores', 'bias'], ['masked']),
    node('Softmax', ['masked'], ['shares'], { axis: -1 }),
    node('Reshape', ['shares', 'rows_shape_of_shares'], ['share_rows']),
    node('MatMul', ['share_rows', 'present'], ['sums']),
    node('Slice', ['sums', 'from', 'to', 'last'], ['cut']),
    node('Reshape', ['cut', 'out_shape'], ['attended']),
  ],
  [{ name: 'bias', dtype: 'FLOAT', shape: [1, 1, 'S', 'T'] }],
  [present('present')],
  [
    constant('rows_shape', [1, 1, -1, width]),
    constant('heads_shape', [0, heads, -1, 0]),
    constant('rows_shape_of_shares', [0, 1, -1, 0]),
    constant('out_shape', [1, heads, -1, latent]),
  ],
);

function oneHead(withPresentValue: boolean): Graph {
  const outputs = ['side_by_side', 'present', ...(withPresentValue ? ['present_value'] : [])];
  return graphOf(
    [
      node('Transpose', ['q'], ['q_tokens'], { perm: [0, 2, 1, 3] }),
      node('Reshape', ['q_tokens', 'q_shape'], ['q_flat']),
      node('Reshape', ['current', 'k_shape'], ['k_flat']),
      node(
        'GroupQueryAttention',
        ['q_flat', 'k_flat', 'k_flat', 'past', 'past', 'seqlens_k', 'total'],
        outputs,
        { num_heads: heads, kv_num_heads: 1, scale },
        'com.microsoft',
      ),
      node('Reshape', ['side_by_side', 'o_shape'], ['o_tokens']),
      node('Slice', ['o_tokens', 'from', 'to', 'last'], ['cut']),
      node('Transpose', ['cut'], ['attended'], { perm: [0, 2, 1, 3] }),
    ],
    [
      { name: 'seqlens_k', dtype: 'INT32', shape: [1] },
      { name: 'total', dtype: 'INT32', shape: [1] },
    ],
    outputs.slice(1).map(present),
    [
      constant('q_shape', [1, -1, heads * width]),
      constant('k_shape', [1, -1, width]),
      constant('o_shape', [1, -1, heads, width]),
    ],
  );
}

const open = (graph: Graph) =>
  ort.InferenceSession.create(encodeModel(graph, {}, 'bench'), {
    logSeverityLevel: 4,
    intraOpNumThreads: Number(values.threads),
  });
const sessions: Record<string, InferenceSession> = {
  standard: await open(standard),
  'one-head GQA': await open(oneHead(true)),
  'one-head GQA, no present_value': await open(oneHead(false)),
};

let seed = 1;
const noise = (count: number) =>
  Float32Array.from({ length: count }, () => {
    seed = (seed * 48271) % 2147483647;
    return seed / 1073741824 - 1;
  });
const floats = (dims: number[]) => new ort.Tensor('float32', noise(dims.reduce((a, b) => a * b)), dims);

console.log(
  `| past | tokens | ${Object.keys(sessions).join(' | ')} | apart |\n|---|---|${'---|'.repeat(Object.keys(sessions).length)}---|`,
);
for (const [past, tokens] of [
  [0, 128],
  [128, 1],
  [1024, 1],
  [1024, 128],
  [4096, 1],
]) {
  const total = past + tokens;
  const bias = new Float32Array(tokens * total);
  for (let i = 0; i < tokens; i++) bias.fill(-1e30, i * total + past + i + 1, (i + 1) * total);
  const common = {
    q: floats([1, heads, tokens, width]),
    current: floats([1, 1, tokens, width]),
    past: new ort.Tensor('float32', noise(past * width), [1, 1, past, width]),
  };
  const feeds = (name: string): Record<string, Tensor> =>
    name === 'standard'
      ? { ...common, bias: new ort.Tensor('float32', bias, [1, 1, tokens, total]) }
      : {
          ...common,
          seqlens_k: new ort.Tensor('int32', Int32Array.of(total - 1), [1]),
          total: new ort.Tensor('int32', Int32Array.of(total), [1]),
        };
  const times: Record<string, number[]> = Object.fromEntries(Object.keys(sessions).map((name) => [name, []]));
  const answers: Record<string, Float32Array> = {};
  for (let run = -2; run < Number(values.runs); run++) {
    for (const [name, session] of Object.entries(sessions)) {
      const started = performance.now();
      const results = await session.run(feeds(name));
      if (run >= 0) times[name].push(performance.now() - started);
      answers[name] = results.attended.data as Float32Array;
    }
  }
  const apart = Object.values(answers).map((each) =>
    each.reduce((most, value, i) => Math.max(most, Math.abs(value - answers.standard[i])), 0).toExponential(0),
  );
  const shown = Object.keys(sessions).map((name) => median(times[name]).toFixed(2));
  console.log(`| ${past} | ${tokens} | ${shown.join(' | ')} | ${apart.slice(1).join(', ')} |`);
}
