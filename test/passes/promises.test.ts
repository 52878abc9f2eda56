import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Graph, GraphNode } from '../../src/core/graph.js';
import type { Plan } from '../../src/core/plan.js';
import { operatorOf, pass, runPasses } from '../../src/graph/pass.js';
import { fuseGroupQueryAttention } from '../../src/passes/fuse_gqa.js';
import { fuseSkipNorm } from '../../src/passes/fuse_skip_norm.js';
import { lintNotes, lintPlan, unfusedFinding } from '../../src/stages/lint.js';
import { type Drawn, drawings } from './families.js';

let all: Drawn[] = [];
test.before(async () => {
  all = await drawings();
});

const counts = (graph: Graph) => {
  const found = new Map<string, number>();
  for (const node of graph.nodes) found.set(operatorOf(node), (found.get(operatorOf(node)) ?? 0) + 1);
  return found;
};

test('every pass keeps what it states on every drawing, and no fusion of a family fails to fire', () => {
  assert.ok(all.length > 150, `${all.length} graphs`);
  for (const { name, graph, stage } of all) {
    try {
      const { unfused } = runPasses(graph, stage.passes);
      assert.equal(
        unfused.map(({ first, second }) => `${first.name} -> ${second.name}`),
        [],
        name,
      );
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`);
    }
  }
});

test('what a pass states happens: each operator that it names is taken away, or left, somewhere', () => {
  const stated = new Map<string, { removes: Set<string>; leaves: Set<string> }>();
  for (const { graph, stage } of all) {
    let current = graph;
    for (const each of stage.passes) {
      const idle = stated.get(each.name) ?? { removes: new Set(each.removes), leaves: new Set(each.leaves) };
      stated.set(each.name, idle);
      const before = counts(current);
      current = each.apply(current);
      const after = counts(current);
      for (const operator of before.keys()) if (!after.has(operator)) idle.removes.delete(operator);
      for (const [operator, count] of after) if (count > (before.get(operator) ?? 0)) idle.leaves.delete(operator);
    }
  }
  // It takes nothing away: it refuses what has these.
  stated.delete('refuse_dynamic_layers');
  const idle = [...stated].map(([name, { removes, leaves }]) => [name, [...removes, ...leaves].join(' ')]);
  assert.equal(
    idle.filter(([, operators]) => operators !== ''),
    [],
  );
});

test('after the passes of a target nothing of the drawing is left', () => {
  for (const { name, graph, stage } of all) {
    const left = runPasses(graph, stage.passes).graph.nodes.filter(({ domain }) => domain === 'halfbyte');
    assert.equal(left, [], name);
  }
});

test('every pass of a target can be taken out, and another one or the end says so', () => {
  const { graph, stage } = all.find(({ name }) => name.startsWith('deepseek_v3 for cpu, settings 0'))!;
  for (const without of stage.passes.filter(({ removes }) => removes.length > 0)) {
    const rest = stage.passes.filter((each) => each !== without);
    let left: string[];
    try {
      left = runPasses(graph, rest).graph.nodes.map(operatorOf);
    } catch (error) {
      assert.match(
        (error as Error).message,
        /^pass \w+: runs before a pass that takes away halfbyte\.|has its own lowering/,
      );
      continue;
    }
    const unlowered = without.removes.filter((operator) => left.includes(operator));
    assert.ok(unlowered.length > 0 || without.removes.every((operator) => !counts(graph).has(operator)), without.name);
  }
});

const node = (name: string, op: string, inputs: string[], attributes: GraphNode['attributes'] = {}): GraphNode => ({
  name,
  op,
  domain: 'halfbyte',
  inputs,
  outputs: [`${name}/out`],
  attributes,
});

/** Values of width 32, and a vector for norms. */
function drawing(nodes: GraphNode[]): Graph {
  const value = (name: string) => ({ name, dtype: 'FLOAT' as const, shape: ['batch_size', 'sequence_length', 32] });
  const inputs = ['a', 'b', 'v'].map(value);
  const weight = (name: string, shape: number[]) => ({
    name,
    source: name,
    shape,
    role: 'float' as const,
    scheme: { scheme: 'f32', strategy: 'tensor', symmetric: true, scale_dtype: 'F32', algorithm: 'rtn' } as const,
  });
  return {
    name: 'decoder',
    inputs,
    outputs: nodes.flatMap(({ outputs }) => outputs.map(value)),
    nodes,
    initializers: [],
    weights: { gamma: weight('gamma', [32]), cos: weight('cos', [8, 8]), sin: weight('sin', [8, 8]) },
    values: Object.fromEntries(
      [...inputs, ...nodes.flatMap(({ outputs }) => outputs.map(value))].map((each) => [each.name, each]),
    ),
    hiddenStates: [],
    opsets: {},
  };
}

const epsilon = { epsilon: { float: 1e-6 } };

test('a sum that only its norm reads first is fused; one that another node reads before is left, and found', async () => {
  const sum = node('sum', 'Add', ['a', 'b']);
  const norm = node('norm', 'RmsNorm', ['sum/out', 'gamma'], epsilon);
  const other = node('other', 'Mul', ['sum/out', 'b']);
  const fused = runPasses(drawing([sum, norm, other]), [fuseSkipNorm]);
  assert.equal(fused.unfused, []);
  assert.equal(fused.graph.nodes.map(operatorOf), ['com.microsoft.SkipSimplifiedLayerNormalization', 'halfbyte.Mul']);

  const apart = runPasses(drawing([sum, other, norm]), [fuseSkipNorm]);
  assert.equal(apart.graph.nodes.map(operatorOf), ['halfbyte.Add', 'halfbyte.Mul', 'SimplifiedLayerNormalization']);
  const known = new Set(['a', 'b', 'gamma']);
  for (const { name, inputs, outputs } of apart.graph.nodes) {
    for (const input of inputs) assert.ok(known.has(input), `${name} reads ${input} before it is made`);
    for (const output of outputs) known.add(output);
  }
  const [found] = apart.unfused.map((each) => unfusedFinding('model.onnx', each));
  assert.is(apart.unfused.length, 1);
  assert.equal([found.rule, found.severity, found.file, found.node], ['fusion', 'warning', 'model.onnx', 'norm']);
  assert.match(found.message, /^sum stays .*SkipSimplifiedLayerNormalization$/);
  // cpu has no rules of its own: what the passes found is told all the same.
  const planned = { options: { target: 'cpu' }, findings: [found] } as unknown as Plan;
  const lint = await lintPlan(planned);
  assert.is(lint?.warnings, 1);
  assert.match(
    lintNotes(lint!).join('\n'),
    /^a fusion did not fire \(pass fuse_skip_norm\): model\.onnx: norm: sum stays/,
  );
  assert.is(await lintPlan({ ...planned, findings: [] }), null);
});

test('a rotation that another node reads too stays outside of the attention, and is found', () => {
  const sizes = { heads: 2, head_dim: 16, offset: 0, rotary_dim: 16, interleaved: 0 };
  const q = node('q', 'Rotary', ['a', 'cos', 'sin'], sizes);
  const k = node('k', 'Rotary', ['b', 'cos', 'sin'], sizes);
  const attention = node('attention', 'Attention', ['q/out', 'k/out', 'v'], {
    ...{ layer: 0, heads: 2, kv_heads: 2, head_dim: 16, v_head_dim: 16, window: 0 },
    scale: { float: 0.25 },
    softcap: { float: 0 },
  });
  const second = node('second', 'Mul', ['k/out', 'v']);
  assert.equal(runPasses(drawing([q, k, attention]), [fuseGroupQueryAttention]).unfused, []);
  const { unfused } = runPasses(drawing([q, k, second, attention]), [fuseGroupQueryAttention]);
  assert.equal(
    unfused.map(({ pass: name, first, second }) => [name, first.name, second.name]),
    [['fuse_gqa', 'q', 'attention']],
  );
});

test('a pass that does not keep what it states is a defect that stops', () => {
  const graph = drawing([node('sum', 'Add', ['a', 'b'])]);
  const run =
    (...passes: Parameters<typeof runPasses>[1][number][]) =>
    () =>
      runPasses(graph, passes);
  const lazy = pass({ name: 'lazy', removes: ['halfbyte.Add'], leaves: [] }, (each) => each);
  const double = pass({ name: 'double', removes: [], leaves: [] }, (each) => ({
    ...each,
    nodes: [...each.nodes, node('more', 'Mul', ['a', 'b'])],
  }));
  const early = pass({ name: 'early', requires: ['halfbyte.Add'], removes: [], leaves: [] }, (each) => each);
  assert.throws(run(lazy), /pass lazy: states that it takes away halfbyte\.Add, and leaves some/);
  assert.throws(run(double), /pass double: brings in halfbyte\.Mul, which it does not state/);
  assert.throws(run(early), /pass early: runs before a pass that takes away halfbyte\.Add/);
});

test.run();
