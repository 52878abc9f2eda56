import { pass } from '../graph/pass.js';
import { integer, replaceEach, text } from '../graph/rewrite.js';
import { floatWeight } from './weight_initializers.js';

/** Added to the choice of experts outside of the chosen groups: finite, as TopK and QMoE compare it with scores. */
const OUTSIDE = 1e30;

const ROUTER = {
  name: 'lower_router',
  removes: ['halfbyte.Router'],
  leaves: [
    'com.microsoft.FusedMatMul',
    'Add',
    'Identity',
    'OneHot',
    'ReduceMax',
    'ReduceSum',
    'Reshape',
    'Sigmoid',
    'Softmax',
    'Sub',
    'TopK',
    'Unsqueeze',
  ],
};

/**
 * Router -> plain operators: scores by Softmax or Sigmoid, choice = scores + correction, less 1e30 outside of the best
 * groups. Groups are chosen by index, so that equal scores fall as in the drawing: the lower index first.
 */
export const lowerRouter = pass(ROUTER, (graph) =>
  replaceEach(graph, 'Router', (node, into) => {
    const [x, gate, correction] = node.inputs;
    const [choice, scores] = node.outputs;
    const { graph: draft } = into;
    const experts = draft.graph.weights[gate].shape[0];
    const [groups, chosen] = [integer(node, 'groups'), integer(node, 'topk_groups')];
    const grouped = chosen < groups;
    const ints = (...values: number[]) => draft.constant('INT64', values);
    const step = (op: string, segment: string, inputs: string[], attributes = {}, output?: string) =>
      into.onnx(op, `${node.name}/${segment}`, inputs, attributes, output);

    const logits = into.contrib('FusedMatMul', `${node.name}/MatMul`, [x, floatWeight(into, gate)], { transB: 1 });
    if (text(node, 'scoring') === 'sigmoid') step('Sigmoid', 'Sigmoid', [logits], {}, scores);
    else step('Softmax', 'Softmax', [logits], { axis: -1 }, scores);
    let moved = scores;
    if (correction) {
      moved = step('Add', 'Add', [scores, floatWeight(into, correction)], {}, grouped ? undefined : choice);
    }
    if (!grouped) {
      if (!correction) step('Identity', 'Identity', [scores], {}, choice);
      return;
    }

    const topK = (value: string, count: number, segment: string) => {
      const name = `${node.name}/${segment}/TopK`;
      const outputs = [`${name}/values_0`, `${name}/indices_0`];
      into.push({ name, op: 'TopK', domain: '', inputs: [value, ints(count)], outputs, attributes: { axis: -1 } });
      return { values: outputs[0], indices: outputs[1] };
    };
    const inGroups = step('Reshape', 'groups/Reshape', [moved, ints(0, -1, groups, experts / groups)]);
    const groupScores =
      text(node, 'group_score') === 'max'
        ? step('ReduceMax', 'groups/ReduceMax', [inGroups, ints(-1)], { keepdims: 0 })
        : step('ReduceSum', 'groups/ReduceSum', [topK(inGroups, 2, 'best').values, ints(-1)], { keepdims: 0 });
    const oneHot = step('OneHot', 'groups/OneHot', [
      topK(groupScores, chosen, 'groups').indices,
      draft.constant('INT64', groups),
      draft.constant('FLOAT', [0, OUTSIDE]),
    ]);
    const kept = step('ReduceSum', 'chosen/ReduceSum', [oneHot, ints(-2)], { keepdims: 0 });
    const penalty = step('Sub', 'chosen/Sub', [kept, draft.constant('FLOAT', OUTSIDE)]);
    const perGroup = step('Unsqueeze', 'chosen/Unsqueeze', [penalty, ints(-1)]);
    const masked = step('Add', 'chosen/Add', [inGroups, perGroup]);
    step('Reshape', 'Reshape', [masked, ints(0, -1, experts)], {}, choice);
  }),
);
