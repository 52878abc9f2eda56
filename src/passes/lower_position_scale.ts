import type { GraphNode, Pass } from '../core/graph.js';
import { inOrder } from '../graph/order.js';
import { pass } from '../graph/pass.js';
import { float, GraphDraft, integer, Replacement, replaceEach } from '../graph/rewrite.js';
import { callPositions, prelude } from './static_positions.js';

const SCALE = {
  name: 'lower_position_scale',
  removes: ['halfbyte.PositionScale'],
  leaves: ['Add', 'Cast', 'Div', 'Log', 'Mul', 'Unsqueeze'],
};

const BY_GATHER = {
  name: 'lower_position_scale_by_gather',
  removes: ['halfbyte.PositionScale'],
  leaves: ['Add', 'Gather', 'Mul', 'Reshape'],
};

/** PositionScale -> x * (1 + beta log(1 + position_ids / length)) in whole lengths, in the operators of ai.onnx. */
export const lowerPositionScale = pass(SCALE, (graph) =>
  replaceEach(graph, 'PositionScale', (node, into) => {
    const { graph: draft } = into;
    const positions = draft.input('position_ids', 'INT64', ['batch_size', 'sequence_length']);
    const number = (value: number) => draft.constant('FLOAT', value);
    const step = (op: string, segment: string, inputs: string[], attributes = {}) =>
      into.onnx(op, `${node.name}/${segment}`, inputs, attributes);
    // whole numbers first: float16 would not hold the positions
    const lengths = step('Div', 'Div', [positions, draft.constant('INT64', integer(node, 'length'))]);
    const spans = step('Cast', 'Cast', [lengths], { to: 1 });
    const grown = step('Log', 'Log', [step('Add', 'Add', [spans, number(1)])]);
    const factor = step('Add', 'Add_1', [step('Mul', 'Mul', [grown, number(float(node, 'beta'))]), number(1)]);
    const column = step('Unsqueeze', 'Unsqueeze', [factor, draft.constant('INT64', [-1])]);
    into.onnx('Mul', node.name, [node.inputs[0], column], {}, node.outputs[0]);
  }),
);

/** The factors of all positions as a constant [contextLength, 1], whose range is known. Returns its name. */
function table(draft: GraphDraft, node: GraphNode, contextLength: number): string {
  const [beta, length] = [float(node, 'beta'), integer(node, 'length')];
  const values = Array.from({ length: contextLength }, (_, p) => 1 + beta * Math.log(1 + Math.floor(p / length)));
  const name = `/model/position_scale/${beta}_${length}`;
  const { ranges } = draft.graph;
  const last = values[contextLength - 1];
  if (ranges) draft.graph.ranges = { ...ranges, [name]: { min: Math.min(1, last), max: Math.max(1, last) } };
  return draft.initializer(name, 'FLOAT', [contextLength, 1], { values });
}

/** PositionScale -> x times rows of a table of factors, gathered by the call's positions. */
export function lowerPositionScaleByGather(tokens: number, contextLength: number): Pass {
  return pass(BY_GATHER, (graph) => {
    const isMeant = (node: GraphNode) => node.op === 'PositionScale' && node.domain === 'halfbyte';
    if (!graph.nodes.some(isMeant)) return graph;
    const draft = new GraphDraft(graph);
    const front = prelude(draft);
    const gathered = new Map<string, string>();
    const nodes = graph.nodes.flatMap((node) => {
      if (!isMeant(node)) return [node];
      const factors = table(draft, node, contextLength);
      let rows = gathered.get(factors);
      if (!rows) {
        const shape = (...dims: number[]) => draft.constant('INT64', dims);
        const list = front.onnx('Reshape', '/model/positions/Reshape', [callPositions(front, tokens), shape(tokens)]);
        const taken = front.onnx('Gather', `${factors}/Gather`, [factors, list], { axis: 0 });
        rows = front.onnx('Reshape', `${factors}/Reshape`, [taken, shape(1, tokens, 1)]);
        gathered.set(factors, rows);
      }
      const into = new Replacement(draft, node);
      into.onnx('Mul', node.name, [node.inputs[0], rows], {}, node.outputs[0]);
      return into.nodes;
    });
    draft.graph.nodes = inOrder([...front.nodes, ...nodes]);
    return draft.finish();
  });
}
