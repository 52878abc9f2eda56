import type { GraphNode } from '../core/graph.js';
import type { WeightSource } from '../core/weights.js';
import { float, integer, type Replacement, text } from '../graph/rewrite.js';
import { derivedWeight } from './derived_weight.js';
import { assigned } from './weight_initializers.js';

/** One expert's rows of a stack, under the checkpoint's name where the stack is a concatenation of them. */
function expertWeight(into: Replacement, stack: string, expert: number, experts: number): string {
  const { source, shape } = assigned(into, stack);
  const rows = shape[0] / experts;
  const stacked = typeof source === 'object' && 'concat' in source ? source.concat : [];
  const own: WeightSource | undefined = stacked.length === experts ? stacked[expert] : undefined;
  const name = typeof own === 'string' ? own : stack.replace(/[^.]*\.weight$/, (last) => `${expert}.${last}`);
  const cut = { rows: stack, from: expert * rows, to: (expert + 1) * rows };
  return derivedWeight(into, stack, name, own ?? cut, [rows, shape[1]]);
}

/**
 * Experts in plain operators: the pairs (token, chosen expert) are sorted by expert, Split hands each expert its rows,
 * which may be none, and the answers go back to their tokens. An expert that nobody chose multiplies zero rows. The
 * experts' products are drawn as Linear and lowered like any other.
 */
export function chosenExperts(node: GraphNode, into: Replacement): void {
  const [x, choice, scores, ...stacks] = node.inputs;
  const { graph: draft } = into;
  const [experts, topK] = [integer(node, 'experts'), integer(node, 'top_k')];
  const hidden = draft.graph.weights[stacks[0]].shape[1];
  const ints = (...values: number[]) => draft.constant('INT64', values);
  const step = (op: string, segment: string, inputs: string[], attributes = {}, output?: string) =>
    into.onnx(op, `${node.name}/${segment}`, inputs, attributes, output);
  const push = (
    op: string,
    domain: '' | 'halfbyte',
    segment: string,
    inputs: string[],
    outputs: string[],
    attributes = {},
  ) => {
    into.push({ name: `${node.name}/${segment}`, op, domain, inputs, outputs, attributes });
    return outputs;
  };
  /** Indices that put whole numbers in ascending order, equal ones in the order in which they stand. */
  const ascending = (values: string, segment: string) =>
    push(
      'TopK',
      '',
      `${segment}/TopK`,
      [values, step('Shape', `${segment}/Shape`, [values])],
      [`${node.name}/${segment}/values_0`, `${node.name}/${segment}/indices_0`],
      { axis: 0, largest: 0 },
    )[1];

  const [, chosen] = push(
    'TopK',
    '',
    'chosen/TopK',
    [choice, ints(topK)],
    [`${node.name}/chosen/values_0`, `${node.name}/chosen/indices_0`],
    { axis: -1 },
  );
  let weights = step('GatherElements', 'weights/GatherElements', [scores, chosen], { axis: -1 });
  if (integer(node, 'normalize') === 1) {
    const sum = step('ReduceSum', 'weights/ReduceSum', [weights, ints(-1)], { keepdims: 1 });
    const epsilon = float(node, 'normalize_epsilon');
    const divisor = epsilon === 0 ? sum : step('Add', 'weights/Add', [sum, draft.constant('FLOAT', epsilon)]);
    weights = step('Div', 'weights/Div', [weights, divisor]);
  }
  const scale = float(node, 'scale');
  if (scale !== 1) weights = step('Mul', 'weights/Mul', [weights, draft.constant('FLOAT', scale)]);

  const pairs = step('Reshape', 'pairs/Reshape', [chosen, ints(-1)]);
  const order = ascending(pairs, 'order');
  const tokens = step('Div', 'tokens/Div', [order, draft.constant('INT64', topK)]);
  const rows = step('Gather', 'rows/Gather', [step('Reshape', 'rows/Reshape', [x, ints(-1, hidden)]), tokens]);
  const marks = step('OneHot', 'counts/OneHot', [pairs, draft.constant('INT64', experts), ints(0, 1)]);
  const counts = step('ReduceSum', 'counts/ReduceSum', [marks, ints(0)], { keepdims: 0 });
  const names = Array.from({ length: experts }, (_, expert) => `${node.name}/rows/Split/output_${expert}`);
  push('Split', '', 'rows/Split', [rows, counts], names, { axis: 0 });

  const answers = names.map((own, expert) => {
    const result = (segment: string) => `${node.name}/${expert}/${segment}/output_0`;
    const linear = (value: string, stack: string, segment: string) =>
      push(
        'Linear',
        'halfbyte',
        `${expert}/${segment}`,
        [value, expertWeight(into, stack, expert, experts)],
        [result(segment)],
      )[0];
    const gate = linear(own, stacks[0], 'gate_proj/MatMul');
    const up = linear(own, stacks[1], 'up_proj/MatMul');
    const [bent] = push('Activation', 'halfbyte', `${expert}/act_fn`, [gate], [result('act_fn')], {
      function: text(node, 'function'),
    });
    return linear(step('Mul', `${expert}/Mul`, [bent, up]), stacks[2], 'down_proj/MatMul');
  });

  const sorted = step('Concat', 'answers/Concat', answers, { axis: 0 });
  const back = step('Gather', 'answers/Gather', [sorted, ascending(order, 'back')]);
  const shares = step('Reshape', 'weights/Reshape', [weights, ints(-1, topK, 1)]);
  const weighed = step('Mul', 'answers/Mul', [
    step('Reshape', 'answers/Reshape', [back, ints(-1, topK, hidden)]),
    shares,
  ]);
  const summed = step('ReduceSum', 'answers/ReduceSum', [weighed, ints(1)], { keepdims: 0 });
  const shape = step('Shape', 'Shape', [x]);
  step('Reshape', 'Reshape', [summed, shape], {}, node.outputs[0]);
}
