import type { GraphNode, Pass, ValueRange } from '../core/graph.js';
import { inOrder } from '../graph/order.js';
import { pass } from '../graph/pass.js';
import { GraphDraft, integer, Replacement } from '../graph/rewrite.js';
import { callPositions, prelude } from './static_positions.js';
import { floatWeight } from './weight_initializers.js';

/** Cosines and sines of the call's positions, [1, tokens, 1, rotary_dim] each, the sines negative in their first half. */
interface Angles {
  cos: string;
  sin: string;
}

/** Rows of a pair of tables at the call's positions, doubled so that one product covers both halves of a head. */
function angles(into: Replacement, [cosTable, sinTable]: string[], tokens: number): Angles {
  const { graph } = into;
  const path = `/model/rotary/${cosTable}`;
  const positions = callPositions(into, tokens);
  const list = into.onnx('Reshape', '/model/positions/Reshape', [positions, graph.constant('INT64', [tokens])]);
  const half = graph.graph.weights[cosTable].shape[1];
  const rows = (table: string, which: string) =>
    into.onnx('Gather', `${path}/${which}/Gather`, [floatWeight(into, table), list], { axis: 0 });
  const doubled = (parts: string[], which: string) => {
    const joined = into.onnx('Concat', `${path}/${which}/Concat`, parts, { axis: -1 });
    const shape = graph.constant('INT64', [1, tokens, 1, 2 * half]);
    return into.onnx('Reshape', `${path}/${which}/Reshape`, [joined, shape]);
  };
  const [cos, sin] = [rows(cosTable, 'cos'), rows(sinTable, 'sin')];
  const negative = into.onnx('Neg', `${path}/sin/Neg`, [sin]);
  return { cos: doubled([cos, cos], 'cos'), sin: doubled([negative, sin], 'sin') };
}

const widest = (range: ValueRange | undefined) => (range ? Math.max(-range.min, range.max) : undefined);

const ROTARY = {
  name: 'lower_rotary_gather',
  requires: ['halfbyte.Attention'],
  removes: ['halfbyte.Rotary'],
  leaves: ['Add', 'Concat', 'Gather', 'Mul', 'Neg', 'Reshape', 'Slice'],
};

/**
 * Rotary -> x * cos + swap(x) * sin with rows of the tables gathered by the call's positions: swap exchanges the halves
 * of each rotated part, and the sign of transformers' rotate_half stands in the sines.
 */
export function lowerRotaryByGather(tokens: number): Pass {
  return pass(ROTARY, (graph) => {
    const draft = new GraphDraft(graph);
    const front = prelude(draft);
    const known = new Map<string, Angles>();
    const nodes = graph.nodes.flatMap((node) => {
      if (node.op !== 'Rotary' || node.domain !== 'halfbyte') return [node];
      const tables = node.inputs.slice(1);
      let turned = known.get(tables.join());
      if (!turned) {
        turned = angles(front, tables, tokens);
        known.set(tables.join(), turned);
        for (const table of tables) boundTable(draft, table);
      }
      const into = new Replacement(draft, node);
      rotate(into, node, turned, tokens);
      return into.nodes;
    });
    draft.graph.nodes = inOrder([...front.nodes, ...nodes]);
    return draft.finish();
  });
}

/** Values of a table lie within its factor, both signs included: its sines are negated. */
function boundTable({ graph }: GraphDraft, table: string): void {
  const { source } = graph.weights[table];
  if (!graph.ranges || typeof source === 'string' || !('rotary' in source)) return;
  const factor = source.rotary.attention_factor;
  graph.ranges = { ...graph.ranges, [table]: { min: -factor, max: factor } };
}

function rotate(into: Replacement, node: GraphNode, { cos, sin }: Angles, tokens: number): void {
  const { graph: draft } = into;
  const { name } = node;
  if (integer(node, 'interleaved') !== 0) throw new Error(`${name}: interleaved rotary has no lowering here`);
  const [heads, headDim] = [integer(node, 'heads'), integer(node, 'head_dim')];
  const [offset, rotaryDim] = [integer(node, 'offset'), integer(node, 'rotary_dim')];
  const numbers = (...values: number[]) => draft.constant('INT64', values);
  const columns = (value: string, from: number, to: number, segment: string) =>
    into.onnx('Slice', `${name}/${segment}/Slice`, [value, numbers(from), numbers(to), numbers(-1)]);
  const split = into.onnx('Reshape', `${name}/split/Reshape`, [node.inputs[0], numbers(1, tokens, heads, headDim)]);
  const whole = rotaryDim === headDim;
  const part = whole ? split : columns(split, offset, offset + rotaryDim, 'part');
  const middle = rotaryDim / 2;
  const swapped = into.onnx(
    'Concat',
    `${name}/swap/Concat`,
    [columns(part, middle, rotaryDim, 'second'), columns(part, 0, middle, 'first')],
    { axis: -1 },
  );
  const [direct, crossed] = [`${name}/direct`, `${name}/crossed`];
  into.onnx('Mul', `${name}/cos/Mul`, [part, cos], {}, direct);
  into.onnx('Mul', `${name}/sin/Mul`, [swapped, sin], {}, crossed);
  let turned = into.onnx('Add', `${name}/Add`, [direct, crossed]);
  if (!whole) {
    const rest = [
      ...(offset > 0 ? [columns(split, 0, offset, 'before')] : []),
      turned,
      ...(offset + rotaryDim < headDim ? [columns(split, offset + rotaryDim, headDim, 'after')] : []),
    ];
    turned = into.onnx('Concat', `${name}/join/Concat`, rest, { axis: -1 });
  }
  into.onnx('Reshape', `${name}/Reshape`, [turned, numbers(1, tokens, heads * headDim)], {}, node.outputs[0]);

  const { ranges } = draft.graph;
  const most = widest(ranges?.[node.inputs[0]]);
  const factor = widest(ranges?.[node.inputs[1]]);
  if (ranges && most !== undefined && factor !== undefined) {
    const bound = { min: -most * factor, max: most * factor };
    draft.graph.ranges = { ...ranges, [direct]: bound, [crossed]: bound };
  }
}
